import shutil
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.training_set import SMALL

NOTEBOOK = Path(__file__).parents[3] / "notebooks/from_training_set_to_bundle.ipynb"


def test_the_notebook_runs_from_a_training_set_to_a_bundle(tmp_path, training_warehouse, tiny_bert, monkeypatch):
    overrides = [*SMALL, f"base={tiny_bert}", "tuning.freeze=all"]
    monkeypatch.setenv("ULVSPARK_WAREHOUSE", training_warehouse)
    monkeypatch.setenv("ULVSPARK_OVERRIDES", " ".join(overrides))
    monkeypatch.setenv("ULVSPARK_RUNS", str(tmp_path / "runs"))
    notebook = nbformat.read(shutil.copy(NOTEBOOK, tmp_path), as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) == 10
    assert not any(cell.outputs for cell in code), "clear the outputs before committing"
    done = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert list((tmp_path / "runs").glob("validation-*/bundle/manifest.json"))
