import os
import shlex
import shutil
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.training_set import SMALL
from ulvspark.warehouse.fit_to_size import SMALL_DATA_SETTINGS

NOTEBOOK = Path(__file__).parents[3] / "notebooks/start_from_nothing.ipynb"
FAST_TRAINING = [*SMALL, "tuning.freeze={top: 1}", "network.sequence={width: 16, layers: 1, attention_heads: 2}"]

FEWER_DATES = f"""
extends: {NOTEBOOK.parents[1] / "conf/sources/simulated.yaml"}
protocol:
  training_origins: [2024-02-29]
"""


def test_the_notebook_starts_from_nothing_and_ends_with_tiers(tmp_path, spark, tiny_bert, monkeypatch):
    """It gets ``spark`` only so that Delta's jars are there; the notebook starts a session of its own."""
    monkeypatch.setenv("PYTHONPATH", f"{NOTEBOOK.parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    small = [f"--conf {shlex.quote(f'{name}={value}')}" for name, value in SMALL_DATA_SETTINGS.items()]
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", " ".join([*small, "pyspark-shell"]))
    monkeypatch.setenv("ULVSPARK_WORK", str(tmp_path))
    monkeypatch.setenv("ULVSPARK_SIMULATION", "users=150 products=100")
    (tmp_path / "source.yaml").write_text(FEWER_DATES)
    monkeypatch.setenv("ULVSPARK_SOURCE", str(tmp_path / "source.yaml"))
    monkeypatch.setenv("ULVSPARK_OVERRIDES", shlex.join([*FAST_TRAINING, f"base={tiny_bert}"]))
    notebook = nbformat.read(shutil.copy(NOTEBOOK, tmp_path), as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) == 12
    assert not any(cell.outputs for cell in code), "clear the outputs before committing"
    done = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    tables = [output["data"]["text/plain"] for output in outputs if "text/html" in output.get("data", {})]
    assert any(all(word in table for word in ("tier", "low", "mid", "high", "predicted")) for table in tables)
    assert list((tmp_path / "runs").glob("validation-*/bundle/manifest.json"))
