"""Gradient-boosted trees on the numbers, as LightGBM saves them: a text file for each target."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from ulvspark.contract.config import Strict, validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.heads import HEADS, Head, HeadName
from ulvspark.model.network.heads import ZeroInflatedLognormal
from ulvspark.model.parts.predictions import Array, Predicted, Prediction

if TYPE_CHECKING:
    from lightgbm import Booster

SPREAD = "spread.json"


def targets_of(head: Head) -> tuple[str, ...]:
    """What boosters predict of a head: of an amount whether it is above 0, and its logarithm where it is."""
    return (f"{head.name}_positive", f"{head.name}_log") if head.kind == "amount" else (head.name,)


class Spread(Strict):
    """What the trees do not predict of an amount: the standard deviation of its logarithm around their prediction."""

    sigma: dict[HeadName, Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    """By head of kind ``amount``."""


@dataclass(frozen=True)
class Trees:
    """A booster for each target of the heads that the trees predict."""

    boosters: "dict[str, Booster]"
    spread: Spread

    def predict(self, features: npt.NDArray[np.float32]) -> Prediction:
        """Of n users from ``features`` (n, F), with as many threads as torch uses."""
        heads = [head for head in HEADS.values() if set(targets_of(head)) <= self.boosters.keys()]
        return {head.name: self._predict_head(head, features) for head in heads}

    def _predict_head(self, head: Head, features: npt.NDArray[np.float32]) -> Predicted:
        predictions = [self._predict(target, features) for target in targets_of(head)]
        if head.kind != "amount":
            return Predicted(predictions[0])
        probability, mu = predictions
        sigma = np.full_like(mu, self.spread.sigma[head.name])
        distribution = ZeroInflatedLognormal(*map(torch.from_numpy, (probability, mu, sigma)))
        return Predicted(distribution.mean().numpy(), distribution)

    def _predict(self, target: str, features: npt.NDArray[np.float32]) -> Array:
        booster = self.boosters[target]
        if not len(features):
            # LightGBM returns one dimension for no rows, however many classes there are.
            classes = booster.num_model_per_iteration()
            return np.empty((0, classes) if classes > 1 else 0)
        return np.asarray(booster.predict(features, num_threads=torch.get_num_threads()), dtype=np.float64)

    def write(self, folder: Path) -> None:
        """Into ``folder``, which is made."""
        folder.mkdir()
        for target, booster in self.boosters.items():
            booster.save_model(folder / f"{target}.txt")
        (folder / SPREAD).write_text(self.spread.model_dump_json() + "\n", encoding="utf-8")


def read(folder: Path, n_features: int) -> Trees:
    """What ``write`` wrote. Raises ExpectedError where LightGBM is missing or the trees read other features."""
    try:
        from lightgbm import Booster  # noqa: PLC0415 - an extra that only bundles with trees need
    except ImportError:
        raise ExpectedError(
            f"{folder}: trees need lightgbm, which is not installed; run `pip install 'ulvspark[gbm]'`"
        ) from None
    paths = {target: folder / f"{target}.txt" for head in HEADS.values() for target in targets_of(head)}
    boosters = {target: Booster(model_file=path) for target, path in paths.items() if path.exists()}
    for target, booster in boosters.items():
        if booster.num_feature() != n_features:
            raise ExpectedError(
                f"{paths[target]}: reads {booster.num_feature()} features, this code makes {n_features};"
                " use the code that made the bundle"
            )
    spread = folder / SPREAD
    return Trees(boosters, validate(Spread, json.loads(spread.read_bytes()), str(spread)))
