"""What speaks for a blend: measures of it and of each of its parts, on users that it never learned from."""

import numpy as np

from model_training.blending.held_out_predictions import Unseen
from model_training.evaluation.measures import measured
from model_training.evaluation.metrics import Outcome
from model_training.evaluation.weighted import ones
from ulvspark.contract.spec import TierSpec
from ulvspark.model.parts.blend import Weights, blend
from ulvspark.model.parts.calibration import Calibration
from ulvspark.model.parts.predictions import Decisions, in_currency

EVIDENCE = (
    "spearman", "gini", "top20_auc", "churn_auc", "tier_f1", "tier_calibration", "churn_calibration", "total_ratio",
    "coverage", "price_spearman",
)  # fmt: skip
"""Names in ``model_training.evaluation.measures``."""


def evidence(
    seen: Unseen, weights: Weights, calibration: Calibration, tiers: TierSpec, cut_name: str
) -> dict[str, float]:
    """``EVIDENCE`` for the manifest: CUT_measure of the blend as it serves, PART_CUT_measure of each part as it is."""
    found = {f"{cut_name}_{name}": value for name, value in served(seen, weights, calibration, tiers).items()}
    for part, prediction in seen.predictions.items():
        scores = _measure(seen.outcome, in_currency(prediction, tiers, 1.0))
        found |= {f"{part}_{cut_name}_{name}": value for name, value in scores.items()}
    return found


def served(seen: Unseen, weights: Weights, calibration: Calibration | None, tiers: TierSpec) -> dict[str, float]:
    """``EVIDENCE`` of the blend, calibrated where there is a calibration."""
    prediction, tail = blend(seen.predictions, weights), None
    if calibration is not None:
        prediction = calibration.apply(prediction)
        tail = None if calibration.spend is None else calibration.spend.tail
    return _measure(seen.outcome, in_currency(prediction, tiers, 1.0, tail))


def _measure(outcome: Outcome, scores: Decisions) -> dict[str, float]:
    found = measured(outcome, scores, ones(len(outcome.spend)))
    return {name: float(found[name][0]) for name in EVIDENCE if name in found and np.isfinite(found[name][0])}
