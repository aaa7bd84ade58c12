"""Where a training run keeps its files: a folder named by what the run is, so that a second start goes on with it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model_training.data.dataset import Platform
from model_training.finetuning.bases import base_files
from model_training.finetuning.config import TrainConfig
from model_training.runs.code_version import code_fingerprint
from ulvspark.contract.source.source import TrainingSetMeta
from ulvspark.model.bundle.checksums import digest
from ulvspark.model.bundle.manifest import read_manifest

STATE = "trainer_state.json"
"""The last file that Trainer writes into a checkpoint."""


def run_folder(
    runs: Path, config: TrainConfig, meta: TrainingSetMeta, cut: str, elsewhere: Sequence[Platform] = ()
) -> Path:
    """The folder, below ``runs``, of the run with this configuration on these training sets by this code.

    Raises ExpectedError where ``start_from`` is no bundle.
    """
    content = run_content(config, meta, cut)
    if elsewhere:
        content["elsewhere"] = [platform.meta.model_dump(mode="json") for platform in elsewhere]
    return runs / f"{cut}-{digest(content)[:12]}"


def run_content(config: TrainConfig, meta: TrainingSetMeta, cut: str) -> dict[str, Any]:
    """What tells one run from another. The code is part of it: a bundle that older code made may no longer be readable.

    Raises ExpectedError where ``start_from`` is no bundle.
    """
    return {
        "code": code_fingerprint(),
        "config": config.model_dump(mode="json"),
        "data": meta.model_dump(mode="json"),
        "cut": cut,
        **_named_folders(config),
    }


def _named_folders(config: TrainConfig) -> dict[str, Any]:
    """What is in the folders that the configuration names, since their content may be replaced under the same name."""
    content: dict[str, Any] = {}
    if config.network.use_text and (files := base_files(config.base)) is not None:
        content["base"] = files
    if config.start_from is not None:
        content["start_from"] = read_manifest(Path(config.start_from)).version
    return content


def latest_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint in ``folder``; None where there is none."""
    newest_first = sorted(
        folder.glob("checkpoint-*"), key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]), reverse=True
    )
    return next((str(checkpoint) for checkpoint in newest_first if _is_complete(checkpoint)), None)


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / STATE).read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return True
