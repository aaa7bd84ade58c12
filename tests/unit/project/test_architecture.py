"""The layout: who may import whom, and what must load where Spark or torch is missing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

BELOW_PIPELINES = ("contract", "intake", "history", "model", "scoring", "simulation", "warehouse")

MAY_IMPORT = {
    "ulvspark.contract": {"ulvspark.contract"},
    "ulvspark.simulation": {"ulvspark.contract", "ulvspark.simulation"},
    "ulvspark.intake": {"ulvspark.contract", "ulvspark.intake", "ulvspark.warehouse"},
    "ulvspark.history": {"ulvspark.contract", "ulvspark.history"},
    "ulvspark.model": {"ulvspark.contract", "ulvspark.history", "ulvspark.model"},
    "ulvspark.scoring": {"ulvspark.contract", "ulvspark.history", "ulvspark.model", "ulvspark.scoring"},
    "ulvspark.warehouse": {"ulvspark.contract", "ulvspark.warehouse"},
    "ulvspark.pipelines": {f"ulvspark.{room}" for room in (*BELOW_PIPELINES, "pipelines")},
    "model_training": {
        "ulvspark.contract", "ulvspark.history", "ulvspark.model", "model_training",
    },
    "jobs": {"ulvspark.contract", "ulvspark.model", "ulvspark.pipelines", "ulvspark.scoring", "ulvspark.simulation",
             "ulvspark.warehouse", "model_training", "jobs"},
}  # fmt: skip


def modules_of(room: str) -> list[Path]:
    return sorted((ROOT / room.replace(".", "/")).rglob("*.py"))


def project_imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name for name in names if name.split(".")[0] in {"ulvspark", "model_training", "jobs"}}


def room_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "ulvspark" else parts[0]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_the_rooms_beneath_it(room):
    assert modules_of(room)
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules_of(room)
        for name in project_imports(path)
        if name != "ulvspark" and room_of(name) not in MAY_IMPORT[room]
    }
    assert not wrong


def import_without(blocked: str, modules: list[str]) -> subprocess.CompletedProcess[str]:
    code = f"import sys, importlib; sys.modules[{blocked!r}] = None\nfor m in {modules!r}: importlib.import_module(m)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def dotted(paths: list[Path]) -> list[str]:
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def test_training_and_the_predictor_load_without_spark():
    paths = [*modules_of("ulvspark.contract"), *modules_of("ulvspark.model"), *modules_of("model_training")]
    with_spark = {"behaviour.py", "days.py", "labels.py", "rows.py"}
    paths += [path for path in modules_of("ulvspark.history") if path.name not in with_spark]
    finished = import_without("pyspark", [name for name in dotted(paths) if not name.endswith("__main__")])
    assert finished.returncode == 0, finished.stderr


def test_a_cpu_scores_without_transformers_and_what_else_takes_seconds_to_import(tiny_bundle):
    program = f"""
import sys

sys.modules["transformers"] = None
import ulvspark.pipelines.score_users
from ulvspark.contract.spec import HistorySpec
from ulvspark.model.bundle import golden_users
from ulvspark.model.predictor import Predictor

Predictor.load({str(tiny_bundle)!r}).encode(golden_users.make_users(HistorySpec()).histories)
print([name for name in ("torch._dynamo", "boto3", "scipy") if name in sys.modules])
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.stdout == "[]\n", finished.stderr


def test_the_contract_loads_without_torch():
    finished = import_without("torch", dotted(modules_of("ulvspark.contract")))
    assert finished.returncode == 0, finished.stderr


def test_only_the_warehouse_speaks_of_delta():
    strangers = [
        str(path.relative_to(ROOT))
        for room in (
            "ulvspark.contract",
            "ulvspark.intake",
            "ulvspark.history",
            "ulvspark.model",
            "ulvspark.scoring",
            "ulvspark.simulation",
        )
        for path in modules_of(room)
        if any(line.startswith(("import delta", "from delta")) for line in path.read_text().splitlines())
    ]
    assert strangers == []


def test_jobs_only_wire():
    """A job parses its command line, opens a session and calls the pipeline of its name."""
    lines = {path.name: len(path.read_text().splitlines()) for path in modules_of("jobs")}
    assert {name: number for name, number in lines.items() if number > 60} == {}


def test_no_step_reaches_back_into_the_run():
    """Steps take data and return data: only pipelines hold the run's report and its staging area."""
    report = {"RunLog", "Step"}
    reaching = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for room in BELOW_PIPELINES
        for path in modules_of(f"ulvspark.{room}")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        for argument in (*node.args.args, *node.args.kwonlyargs)
        if argument.annotation is not None and report & set(re.findall(r"\w+", ast.unparse(argument.annotation)))
    ]
    assert reaching == []


def test_a_night_calls_downwards_only():
    """What pipelines call stands in a room below, and nothing there calls back."""
    pipelines = {path.stem for path in modules_of("ulvspark.pipelines")} - {"__init__"}
    calling_back = [
        f"{path.relative_to(ROOT)} imports {name}"
        for room in BELOW_PIPELINES
        for path in modules_of(f"ulvspark.{room}")
        for name in project_imports(path)
        if name.startswith(("ulvspark.pipelines", "jobs")) or name.removeprefix("ulvspark.") in pipelines
    ]
    assert calling_back == []


def test_folders_hold_a_dozen_modules_at_most():
    folders = {path.parent for room in ("ulvspark", "model_training", "jobs") for path in modules_of(room)}
    sizes = {folder: len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) for folder in folders}
    assert {str(folder.relative_to(ROOT)): size for folder, size in sizes.items() if size > 12} == {}


def test_only_evaluation_reads_the_truth_of_a_simulation():
    """A model that saw the truth would be judged by what it was told."""
    may = ("ulvspark/simulation/", "ulvspark/pipelines/simulate.py", "model_training/evaluation/")
    rooms = [path for room in MAY_IMPORT for path in modules_of(room)]
    names = re.compile(r"\btruth_(users|products|offers|drift)\b")
    reading = {
        str(path.relative_to(ROOT))
        for path in (*rooms, *sorted((ROOT / "conf").rglob("*.yaml")))
        if names.search(path.read_text())
    }
    assert {path for path in reading if not path.startswith(may)} == set()
