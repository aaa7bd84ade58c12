"""The usual alternatives to a bundle, each a function from a task to the scores of its users."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lightgbm.basic import LightGBMError

from model_training.baselines import bgnbd, boosting, linear, past_share, past_spend, rfm
from model_training.baselines.task import BaselineTask, UnfitError
from model_training.runs.progress import track
from ulvspark.model.parts.predictions import Decisions

logger = logging.getLogger(__name__)

Baseline = Callable[[BaselineTask], Decisions]

LIGHTGBM = "LightGBM on the same numbers"

BASELINES: dict[str, Baseline] = {
    "spend of the last days": past_spend.predict,
    "RFM quintiles": rfm.predict,
    "BG/NBD + Gamma-Gamma": bgnbd.predict,
    "ridge and logistic on log RFM": linear.predict,
    LIGHTGBM: boosting.numbers_alone,
    "LightGBM + TF-IDF of products": boosting.with_words,
    "past share below reference price": past_share.below_reference,
    "past discount share": past_share.discounted,
}


@dataclass(frozen=True)
class Tried:
    """Scores of the baselines that could be fitted, and why the others could not."""

    scores: dict[str, Decisions]
    missing: dict[str, str]


def run(task: BaselineTask, baselines: Mapping[str, Baseline]) -> Tried:
    """Fit and predict with each of ``baselines``; one that fails does not stop the others."""
    tried = Tried({}, {})
    for name, predict in track(baselines.items(), "baselines", "model"):
        try:
            tried.scores[name] = predict(task)
        except UnfitError as reason:
            tried.missing[name] = str(reason)
        except (ValueError, ArithmeticError, LightGBMError) as error:
            logger.warning("baseline %s failed", name, exc_info=True)
            tried.missing[name] = f"{type(error).__name__}: {error}"
    return tried
