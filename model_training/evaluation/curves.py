"""Predictions beside what happened, as curves and tables: gains, deciles, calibration, tiers."""

import numpy as np
import numpy.typing as npt

from model_training.data.outcome import Floats, Outcome
from model_training.evaluation.results import Bin, Curves, TierRow
from model_training.evaluation.weighted import confusion, ones, top
from ulvspark.contract.heads import HEADS
from ulvspark.contract.tier_bounds import likeliest_tier
from ulvspark.model.parts.predictions import Decisions

SHARES_OF_USERS = tuple(step / 20 for step in range(21))
BINS = 10
ACTUAL = "actual spend"
"""The gains curve of the order that spend itself gives."""


def draw(
    outcome: Outcome, scores: Decisions, others: dict[str, Decisions], tiers: tuple[str, ...], platform_scale: float
) -> Curves:
    """Curves of ``scores``; gains also of ``others``, by name. Amounts are given in platform scales, shown in currency.

    ``scores`` without probabilities of the tiers leave the curves of the tiers empty.
    """
    spend = outcome.spend_in_scales
    ranked = {name: other["expected_value"] for name, other in others.items() if "expected_value" in other}
    gains = {name: _gains(spend, value) for name, value in ranked.items()}
    gains[ACTUAL] = _gains(spend, spend)
    by_tier = scores.get("tier_probabilities")
    value = scores.get("expected_value")
    return Curves(
        gains=gains,
        deciles=_bins(spend * platform_scale, None if value is None else value * platform_scale)[::-1],
        tiers={
            name: _bins((outcome.tier == number).astype(np.float64), by_tier[:, number])
            for number, name in enumerate(tiers)
            if by_tier is not None
        },
        heads={
            head.name: _bins(outcome.labels[head.name], scores[column])
            for head in HEADS.values()
            for column in head.columns
            if head.kind not in ("classes", "amount") and column in scores
        },
        confusion=[] if by_tier is None else _confusion(outcome, by_tier),
        tier_table=[] if by_tier is None else _tier_table(outcome, scores, tiers, platform_scale),
    )


def _gains(spend: Floats, value: Floats) -> list[float]:
    weights = ones(len(spend))
    amounts = [float((top(value, share, weights) @ spend)[0]) for share in SHARES_OF_USERS]
    return [amount / float(spend.sum()) if spend.sum() else 0.0 for amount in amounts]


def _bins(actual: Floats, predicted: Floats | None) -> list[Bin]:
    """Ten bins of equally many users whose ``actual`` value is known, lowest prediction first."""
    if predicted is None:
        return []
    known = ~np.isnan(actual)
    actual, predicted = actual[known], predicted[known]
    parts = np.array_split(np.argsort(predicted, kind="stable"), BINS)
    return [Bin(len(part), float(predicted[part].mean()), float(actual[part].mean())) for part in parts if len(part)]


def _confusion(outcome: Outcome, probabilities: Floats) -> list[list[int]]:
    table = confusion(outcome.tier, likeliest_tier(probabilities), probabilities.shape[1], ones(len(probabilities)))
    return [[int(cell) for cell in row] for row in table[0]]


def _tier_table(outcome: Outcome, scores: Decisions, tiers: tuple[str, ...], platform_scale: float) -> list[TierRow]:
    tier = likeliest_tier(scores["tier_probabilities"])
    value, spend = (in_scales * platform_scale for in_scales in (scores["expected_value"], outcome.spend_in_scales))
    churned = outcome.labels["churn"]

    def row(name: str, members: npt.NDArray[np.bool_], ended: npt.NDArray[np.bool_]) -> TierRow:
        return TierRow(
            name=name,
            predicted_users=int(members.sum()),
            actual_users=int(ended.sum()),
            predicted_spend=float(value[members].sum()),
            actual_spend=float(spend[members].sum()),
            left=float(churned[members].mean()) if members.any() else 0.0,
        )

    return [row(name, tier == number, outcome.tier == number) for number, name in enumerate(tiers)]
