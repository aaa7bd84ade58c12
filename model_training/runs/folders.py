"""Where a training run keeps its files: a folder by what the run is, so that starting it again goes on with it."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model_training.data.dataset import Platform
from model_training.finetuning.bases import base_files
from model_training.finetuning.config import TrainConfig
from ulvspark import __version__
from ulvspark.contract.source import TrainingSetMeta
from ulvspark.model.bundle.manifest import digest, read_manifest

STATE = "trainer_state.json"


def run_folder(
    runs: Path, config: TrainConfig, meta: TrainingSetMeta, cut: str, elsewhere: Sequence[Platform] = ()
) -> Path:
    """The folder of the run with this configuration on these training sets; the same for the same run.

    Raises ExpectedError where ``start_from`` is no bundle.
    """
    content = run_content(config, meta, cut)
    if elsewhere:
        content["elsewhere"] = [each.meta.model_dump(mode="json") for each in elsewhere]
    return runs / f"{cut}-{digest(content)[:12]}"


def run_content(config: TrainConfig, meta: TrainingSetMeta, cut: str) -> dict[str, Any]:
    """What makes a run the same run. Raises ExpectedError where ``start_from`` is no bundle."""
    data = meta.model_dump(mode="json")
    return {"config": config.model_dump(mode="json"), "data": data, "cut": cut, **_named(config)}


def _named(config: TrainConfig) -> dict[str, Any]:
    """What is in the folders that the configuration names, since it may be replaced under the same name."""
    found: dict[str, Any] = {}
    if config.network.use_text and (files := base_files(config.base)) is not None:
        found["base"] = files
    if config.start_from is not None:
        found["start_from"] = read_manifest(Path(config.start_from)).version
    return found


def latest_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end; None where there is none."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    return next((str(path) for path in found if _is_whole(path)), None)


def _is_whole(checkpoint: Path) -> bool:
    # Trainer writes its state last.
    try:
        json.loads((checkpoint / STATE).read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return True


def code_version() -> str:
    """The package's version, and the commit where it runs from a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return __version__
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"{__version__}+{found.stdout.strip()}" if found.returncode == 0 else __version__
