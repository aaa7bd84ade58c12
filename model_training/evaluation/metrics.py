"""How good scores are: every number that a run reports, by name."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from model_training.evaluation import weighted
from ulvspark.contract.spec import HEADS, Head
from ulvspark.model.parts.predictions import Decisions

Floats = npt.NDArray[np.float64]

Metric = Literal["spearman", "gini", "churn_auc", "top20_auc", "tier_f1", "price_sensitivity_error", "loss"]

TOP_SHARE = 0.2


@dataclass(frozen=True)
class Outcome:
    """What n users did in the label window: spend, churned (0 or 1), tier number, price sensitivity (NaN unknown)."""

    spend: Floats
    churned: Floats
    tier: npt.NDArray[np.int64]
    price_sensitivity: Floats


def in_top_share(spend: Floats) -> npt.NDArray[np.bool_]:
    """Who is in the fifth that spends most, and spends at all."""
    return np.asarray((spend >= np.quantile(spend, 1 - TOP_SHARE)) & (spend > 0))


def _spearman(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.spearman(outcome.spend, known(scores.expected_value), weights)


def _gini(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.gini(outcome.spend, known(scores.expected_value), weights)


def _top20_auc(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.auc(in_top_share(outcome.spend), known(scores.expected_value), weights)


def _churn_auc(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.auc(outcome.churned > 0, known(scores.churn_probability), weights)


def _tier_f1(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.macro_f1(outcome.tier, known(scores.tier_probabilities).argmax(axis=1), weights)


def _price_sensitivity_error(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    seen = ~np.isnan(outcome.price_sensitivity)
    errors = np.abs(outcome.price_sensitivity - known(scores.price_sensitivity))[seen]
    return weighted.mean(errors, weights[:, seen])


def known(values: Floats | None) -> Floats:
    """A score that the heads give."""
    assert values is not None  # noqa: S101 - measure() asks only for what the heads give
    return values


@dataclass(frozen=True)
class Measure:
    """A metric: the heads of which one suffices for it, which way is better, and how it is computed."""

    heads: tuple[Head, ...]
    better_when_greater: bool
    of: Callable[[Outcome, Decisions, Floats], Floats] | None
    """From weights (draws, n) of the users to (draws,); None for the loss, which training itself reports."""


METRICS: dict[Metric, Measure] = {
    "spearman": Measure(("spend", "tier"), True, _spearman),
    "gini": Measure(("spend", "tier"), True, _gini),
    "churn_auc": Measure(("churn",), True, _churn_auc),
    "top20_auc": Measure(("spend", "tier"), True, _top20_auc),
    "tier_f1": Measure(("tier",), True, _tier_f1),
    "price_sensitivity_error": Measure(("price_sensitivity",), False, _price_sensitivity_error),
    "loss": Measure(HEADS, False, None),
}


def measure(outcome: Outcome, scores: Decisions, heads: Collection[Head]) -> dict[Metric, float]:
    """All metrics that ``heads`` allow and that are defined for this outcome."""
    ones = weighted.ones(len(outcome.spend))
    found = {
        name: float(each.of(outcome, scores, ones)[0])
        for name, each in METRICS.items()
        if each.of is not None and not set(each.heads).isdisjoint(heads)
    }
    return {name: value for name, value in found.items() if not np.isnan(value)}
