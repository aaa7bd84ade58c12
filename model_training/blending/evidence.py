"""Measures of a blend and of each of its parts, on users that it never learned from."""

import numpy as np

from model_training.blending.held_out_predictions import HeldOutPredictions
from model_training.data.outcome import Outcome
from model_training.evaluation.measures import measured
from model_training.evaluation.weighted import ones
from ulvspark.contract.heads import HEADS
from ulvspark.contract.spec import TierSpec
from ulvspark.model.parts.blend import Weights, blend
from ulvspark.model.parts.calibration import Calibration
from ulvspark.model.parts.predictions import Prediction, to_scores

EVIDENCE = (
    "spearman", "gini", "top20_auc", "churn_auc", "tier_f1", "tier_calibration", "churn_calibration", "total_ratio",
    "coverage", "price_spearman",
    *(f"{head.name}_{name}" for head in HEADS.values() if head.kind == "count" for name in ("spearman", "total_ratio")),
)  # fmt: skip
"""Names in ``model_training.evaluation.measures``."""


def evidence(
    held_out: HeldOutPredictions, weights: Weights, calibration: Calibration, tiers: TierSpec, cut_name: str
) -> dict[str, float]:
    """``EVIDENCE`` for the manifest: CUT_measure of the blend as it serves, PART_CUT_measure of each part as it is."""
    of_cut = {f"{cut_name}_{name}": value for name, value in served(held_out, weights, calibration, tiers).items()}
    for part, prediction in held_out.predictions.items():
        figures = _measure(held_out.outcome, prediction, tiers)
        of_cut |= {f"{part}_{cut_name}_{name}": value for name, value in figures.items()}
    return of_cut


def served(
    held_out: HeldOutPredictions, weights: Weights, calibration: Calibration | None, tiers: TierSpec
) -> dict[str, float]:
    """``EVIDENCE`` of the blend, calibrated where there is a calibration."""
    prediction = blend(held_out.predictions, weights)
    return _measure(held_out.outcome, calibration.apply(prediction) if calibration else prediction, tiers)


def _measure(outcome: Outcome, prediction: Prediction, tiers: TierSpec) -> dict[str, float]:
    figures = measured(outcome, to_scores(prediction, tiers, platform_scale=1.0), ones(outcome.users))
    return {name: float(figures[name][0]) for name in EVIDENCE if name in figures and np.isfinite(figures[name][0])}


def evidence_lines(columns: dict[str, dict[str, float]], title: str, width: int) -> list[str]:
    """A table for the terminal: ``EVIDENCE`` of each of ``columns`` by name, blank where it has no figure."""
    header = f"{title:{width}}" + "".join(f"{name:>10}" for name in columns)
    lines = [
        f"{name:{width}}"
        + "".join(f"{column[name]:10.4f}" if name in column else f"{'':>10}" for column in columns.values())
        for name in EVIDENCE
        if any(name in column for column in columns.values())
    ]
    return [header, *lines]
