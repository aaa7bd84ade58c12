"""What a bundle may hold beside its network (boosted trees, a linear model, a calibration) and its files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ulvspark.contract.config import Strict, validate
from ulvspark.model.parts import trees
from ulvspark.model.parts.calibration import Calibration
from ulvspark.model.parts.linear import Linear
from ulvspark.model.parts.trees import Trees

C = TypeVar("C", bound=Strict)

TREES, LINEAR, CALIBRATION = "trees", "linear.json", "calibration.json"


@dataclass(frozen=True)
class Parts:
    """None for what the bundle does not hold."""

    trees: Trees | None = None
    linear: Linear | None = None
    calibration: Calibration | None = None


def write_parts(folder: Path, parts: Parts) -> None:
    """Into the folder of a bundle that holds none of them."""
    if parts.trees is not None:
        parts.trees.write(folder / TREES)
    for name, part in ((LINEAR, parts.linear), (CALIBRATION, parts.calibration)):
        if part is not None:
            (folder / name).write_text(part.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_parts(folder: Path, n_features: int) -> Parts:
    """What ``write_parts`` wrote. Raises ExpectedError where LightGBM is needed and missing, or a file does not fit."""
    return Parts(
        trees=trees.read(folder / TREES, n_features) if (folder / TREES).exists() else None,
        linear=_read(Linear, folder / LINEAR),
        calibration=_read(Calibration, folder / CALIBRATION),
    )


def _read(model: type[C], path: Path) -> C | None:
    return validate(model, json.loads(path.read_bytes()), str(path)) if path.exists() else None
