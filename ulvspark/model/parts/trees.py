"""Gradient-boosted trees on the numbers, as LightGBM saves them: text files, one a target."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from ulvspark.contract.config import Strict, validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.network.heads import Spend
from ulvspark.model.parts.predictions import Array, Prediction

if TYPE_CHECKING:
    from lightgbm import Booster

Target = Literal["tier", "spends", "log_spend", "churn", "price_sensitivity"]
"""What a booster predicts: ``spends`` is the probability of spending, ``log_spend`` the log of how much if so."""

SPREAD = "spread.json"


class Spread(Strict):
    """What the trees do not predict of spend: the standard deviation of its logarithm around ``log_spend``."""

    sigma: float = Field(gt=0, allow_inf_nan=False)


@dataclass(frozen=True)
class Gbm:
    """A booster for each target of the heads that are there."""

    boosters: "dict[Target, Booster]"
    spread: Spread | None

    def predict(self, features: npt.NDArray[np.float32]) -> Prediction:
        """Of n users from ``features`` (n, F), with as many threads as torch uses."""
        return Prediction(
            tier=self._predict("tier", features),
            value=None if (spend := self._spend(features)) is None else spend.mean().numpy(),
            spend=spend,
            churn=self._predict("churn", features),
            price_sensitivity=self._predict("price_sensitivity", features),
        )

    def _spend(self, features: npt.NDArray[np.float32]) -> Spend | None:
        probability, mu = self._predict("spends", features), self._predict("log_spend", features)
        if probability is None or mu is None or self.spread is None:
            return None
        return Spend(*(torch.from_numpy(each) for each in (probability, mu, np.full_like(mu, self.spread.sigma))))

    def _predict(self, target: Target, features: npt.NDArray[np.float32]) -> Array | None:
        booster = self.boosters.get(target)
        if booster is None:
            return None
        if not len(features):
            # LightGBM forgets how many tiers there are where there is nobody.
            return np.empty((0, booster.num_model_per_iteration()) if target == "tier" else 0)
        return np.asarray(booster.predict(features, num_threads=torch.get_num_threads()), dtype=np.float64)

    def write(self, folder: Path) -> None:
        """Into ``folder``, which is made."""
        folder.mkdir()
        for target, booster in self.boosters.items():
            booster.save_model(folder / f"{target}.txt")
        if self.spread is not None:
            (folder / SPREAD).write_text(self.spread.model_dump_json() + "\n", encoding="utf-8")


def read(folder: Path, n_features: int) -> Gbm:
    """What ``write`` wrote. Raises ExpectedError where LightGBM is missing or the trees read other features."""
    try:
        from lightgbm import Booster  # noqa: PLC0415 - an extra that only bundles with trees need
    except ImportError:
        raise ExpectedError(
            f"{folder}: trees need lightgbm, which is not installed; run `pip install 'ulvspark[gbm]'`"
        ) from None
    paths: dict[Target, Path] = {target: folder / f"{target}.txt" for target in get_args(Target)}
    boosters = {target: Booster(model_file=path) for target, path in paths.items() if path.exists()}
    for target, booster in boosters.items():
        if booster.num_feature() != n_features:
            raise ExpectedError(
                f"{paths[target]}: reads {booster.num_feature()} features, this code makes {n_features};"
                " use the code that made the bundle"
            )
    spread = folder / SPREAD
    found = validate(Spread, json.loads(spread.read_bytes()), str(spread)) if spread.exists() else None
    return Gbm(boosters, found)
