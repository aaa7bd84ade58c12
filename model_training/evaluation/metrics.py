"""The metrics that training watches and chooses by, each by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from model_training.data.outcome import Floats, Outcome
from model_training.evaluation import weighted
from ulvspark.contract.heads import HEADS
from ulvspark.contract.tier_bounds import likeliest_tier
from ulvspark.model.parts.predictions import Decisions

Metric = Literal["spearman", "gini", "churn_auc", "top20_auc", "tier_f1", "price_sensitivity_error", "loss"]

Statistic = Callable[[Outcome, Decisions, Floats], Floats]
"""From what happened, what was predicted and weights (draws, n) of the users to (draws,).

Amounts of the scores are in platform scales, as those of the outcome.
"""

TOP_SHARE = 0.2


def in_top_share(spend: Floats) -> npt.NDArray[np.bool_]:
    """(n,) who is in the fifth that spends most, and spends at all."""
    return np.asarray((spend >= np.quantile(spend, 1 - TOP_SHARE)) & (spend > 0))


def _spearman(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.spearman(outcome.spend_in_scales, scores["expected_value"], weights)


def _gini(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.gini(outcome.spend_in_scales, scores["expected_value"], weights)


def _top20_auc(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.auc(in_top_share(outcome.spend_in_scales), scores["expected_value"], weights)


def _churn_auc(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.auc(outcome.labels["churn"] > 0, scores["churn_probability"], weights)


def _tier_f1(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.macro_f1(outcome.tier, likeliest_tier(scores["tier_probabilities"]), weights)


def _price_sensitivity_error(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    label = outcome.labels["price_sensitivity"]
    known = ~np.isnan(label)
    return weighted.mean(np.abs(label - scores["price_sensitivity"])[known], weights[:, known])


@dataclass(frozen=True)
class TrainingMetric:
    """What a metric needs, which way is better, and how it is computed."""

    column: str | None
    """The score column that it looks at; None for the loss, which training itself reports."""
    better_when_greater: bool
    statistic: Statistic | None
    """None for the loss."""

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads of which one suffices for the metric."""
        return tuple(name for name, head in HEADS.items() if self.column is None or self.column in head.filled)


METRICS: dict[Metric, TrainingMetric] = {
    "spearman": TrainingMetric("expected_value", True, _spearman),
    "gini": TrainingMetric("expected_value", True, _gini),
    "churn_auc": TrainingMetric("churn_probability", True, _churn_auc),
    "top20_auc": TrainingMetric("expected_value", True, _top20_auc),
    "tier_f1": TrainingMetric("tier_probabilities", True, _tier_f1),
    "price_sensitivity_error": TrainingMetric("price_sensitivity", False, _price_sensitivity_error),
    "loss": TrainingMetric(None, False, None),
}


def measure(outcome: Outcome, scores: Decisions) -> dict[Metric, float]:
    """All metrics of the columns in ``scores`` that are defined for this outcome."""
    ones = weighted.ones(outcome.users)
    measures = {
        name: float(metric.statistic(outcome, scores, ones)[0])
        for name, metric in METRICS.items()
        if metric.statistic is not None and metric.column in scores
    }
    return {name: value for name, value in measures.items() if not np.isnan(value)}
