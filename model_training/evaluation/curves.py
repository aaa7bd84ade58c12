"""Predictions against what happened, as curves and tables: gains, deciles, calibration, tiers."""

import numpy as np
import numpy.typing as npt

from model_training.evaluation.metrics import Floats, Outcome, known
from model_training.evaluation.results import Bin, Curves, TierRow
from model_training.evaluation.weighted import confusion, ones, top
from ulvspark.model.parts.predictions import Decisions

SHARES = tuple(step / 20 for step in range(21))
BINS = 10
ACTUAL = "actual spend"
"""The gains curve of the order that spend itself gives."""


def draw(outcome: Outcome, scores: Decisions, others: dict[str, Decisions], tiers: tuple[str, ...]) -> Curves:
    """Curves of ``scores``; gains also of ``others``, by name."""
    ranked = {name: each.expected_value for name, each in others.items()}
    gains = {name: _gains(outcome.spend, value) for name, value in ranked.items() if value is not None}
    gains[ACTUAL] = _gains(outcome.spend, outcome.spend)
    by_tier = scores.tier_probabilities
    return Curves(
        gains=gains,
        deciles=_bins(outcome.spend, scores.expected_value)[::-1],
        churn=_bins(outcome.churned, scores.churn_probability),
        tiers={
            name: _bins((outcome.tier == number).astype(np.float64), by_tier[:, number])
            for number, name in enumerate(tiers)
            if by_tier is not None
        },
        price_sensitivity=_seen_bins(outcome.price_sensitivity, scores.price_sensitivity),
        confusion=[] if by_tier is None else _confusion(outcome, by_tier),
        tier_table=[] if by_tier is None else _tier_table(outcome, scores, tiers),
    )


def _gains(spend: Floats, value: Floats) -> list[float]:
    weights = ones(len(spend))
    found = [float((top(value, share, weights) @ spend)[0]) for share in SHARES]
    return [each / float(spend.sum()) if spend.sum() else 0.0 for each in found]


def _bins(actual: Floats, predicted: Floats | None) -> list[Bin]:
    """Ten bins of equally many users, lowest prediction first."""
    if predicted is None or not len(predicted):
        return []
    parts = np.array_split(np.argsort(predicted, kind="stable"), BINS)
    return [Bin(len(part), float(predicted[part].mean()), float(actual[part].mean())) for part in parts if len(part)]


def _seen_bins(actual: Floats, predicted: Floats | None) -> list[Bin]:
    seen = ~np.isnan(actual)
    return [] if predicted is None else _bins(actual[seen], predicted[seen])


def _confusion(outcome: Outcome, probabilities: Floats) -> list[list[int]]:
    table = confusion(outcome.tier, probabilities.argmax(axis=1), probabilities.shape[1], ones(len(probabilities)))
    return [[int(cell) for cell in row] for row in table[0]]


def _tier_table(outcome: Outcome, scores: Decisions, tiers: tuple[str, ...]) -> list[TierRow]:
    predicted = known(scores.tier_probabilities).argmax(axis=1)
    return [_tier_row(name, outcome, scores, predicted == number, number) for number, name in enumerate(tiers)]


def _tier_row(name: str, outcome: Outcome, scores: Decisions, members: npt.NDArray[np.bool_], number: int) -> TierRow:
    return TierRow(
        name=name,
        predicted_users=int(members.sum()),
        actual_users=int((outcome.tier == number).sum()),
        predicted_spend=float(known(scores.expected_value)[members].sum()),
        actual_spend=float(outcome.spend[members].sum()),
        left=float(outcome.churned[members].mean()) if members.any() else 0.0,
    )
