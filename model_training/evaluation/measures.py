"""Every measure of the report: those that training chooses by, and those that only a report needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from model_training.evaluation import weighted
from model_training.evaluation.metrics import METRICS, TOP_SHARE, Floats, Outcome, in_top_share, known
from ulvspark.model.parts.predictions import Decisions

Score = Literal["value", "median", "interval", "churn", "tier", "price_sensitivity"]

Statistic = Callable[[Outcome, Decisions, Floats], Floats]
"""From what happened, what was predicted and weights (draws, n) to (draws,). Amounts are in currency."""


@dataclass(frozen=True)
class Measure:
    """``score`` is what it looks at; ``aim`` is the value that is best: infinity where greater is better.

    ``aim`` is NaN where it is the bundle's own (see ``aimed``).
    """

    title: str
    score: Score
    aim: float
    of: Statistic

    def loss(self, values: Floats) -> Floats:
        """What is the less the better."""
        return -values if self.aim == np.inf else np.abs(values - self.aim)


def has(scores: Decisions, score: Score) -> bool:
    """Whether ``scores`` hold what a measure looks at."""
    field = {
        "value": scores.expected_value, "median": scores.expected_value_median, "interval": scores.expected_value_low,
        "churn": scores.churn_probability, "tier": scores.tier_probabilities,
        "price_sensitivity": scores.price_sensitivity,
    }[score]  # fmt: skip
    return field is not None


def _chosen(
    name: Literal["spearman", "gini", "churn_auc", "top20_auc", "tier_f1", "price_sensitivity_error"],
) -> Statistic:
    found = METRICS[name].of
    assert found is not None  # noqa: S101 - only the loss has none
    return found


def _of_value(statistic: Callable[[Floats, Floats, Floats], Floats]) -> Statistic:
    """A statistic of (spend, expected value, weights)."""
    return lambda outcome, scores, weights: statistic(outcome.spend, known(scores.expected_value), weights)


def _of_churn(statistic: Callable[[Floats, Floats, Floats], Floats]) -> Statistic:
    """A statistic of (churned, probability, weights)."""
    return lambda outcome, scores, weights: statistic(outcome.churned, known(scores.churn_probability), weights)


def _of_sensitivity(statistic: Callable[[Floats, Floats, Floats], Floats]) -> Statistic:
    """A statistic of (label, prediction, weights) over users whose price sensitivity was seen."""

    def over_seen(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
        seen = ~np.isnan(outcome.price_sensitivity)
        if not seen.any():
            return np.full(len(weights), np.nan)
        predicted = known(scores.price_sensitivity)[seen]
        return statistic(outcome.price_sensitivity[seen], predicted, weights[:, seen])

    return over_seen


def _spenders(spend: Floats, value: Floats, weights: Floats) -> Floats:
    return weighted.spearman(spend[spend > 0], value[spend > 0], weights[:, spend > 0])


def _recall(spend: Floats, value: Floats, weights: Floats) -> Floats:
    return weighted.recall(in_top_share(spend), value, TOP_SHARE, weights)


def _lift(spend: Floats, value: Floats, weights: Floats) -> Floats:
    return weighted.lift(spend, value, TOP_SHARE, weights)


def _absolute(label: Floats, predicted: Floats, weights: Floats) -> Floats:
    return weighted.mean(np.abs(label - predicted), weights)


def _root_square(label: Floats, predicted: Floats, weights: Floats) -> Floats:
    return np.sqrt(weighted.mean((label - predicted) ** 2, weights))


def _square(label: Floats, predicted: Floats, weights: Floats) -> Floats:
    return weighted.mean((label - predicted) ** 2, weights)


def _total_ratio(spend: Floats, value: Floats, weights: Floats) -> Floats:
    return weighted.ratio(weights @ value, weights @ spend)


def _average_precision(churned: Floats, probability: Floats, weights: Floats) -> Floats:
    return weighted.average_precision(churned > 0, probability, weights)


def _median_error(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return _absolute(outcome.spend, known(scores.expected_value_median), weights)


def _tier_distance(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    predicted = known(scores.tier_probabilities).argmax(axis=1)
    return weighted.mean(np.abs(predicted - outcome.tier).astype(np.float64), weights)


def _tier_brier(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    probabilities = known(scores.tier_probabilities)
    actual = np.eye(probabilities.shape[1])[outcome.tier]
    return weighted.mean(((probabilities - actual) ** 2).sum(axis=1), weights)


def _tier_calibration(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    """Mean over tiers of each tier's error; Kull et al. (2019), arXiv 1910.12656, call it classwise."""
    probabilities = known(scores.tier_probabilities)
    errors = [
        weighted.calibration_error((outcome.tier == tier).astype(np.float64), probabilities[:, tier], weights)
        for tier in range(probabilities.shape[1])
    ]
    return np.asarray(np.mean(errors, axis=0))


def _coverage(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    low, high = known(scores.expected_value_low), known(scores.expected_value_high)
    return weighted.mean(((outcome.spend >= low) & (outcome.spend <= high)).astype(np.float64), weights)


def _width(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.mean(known(scores.expected_value_high) - known(scores.expected_value_low), weights)


GREATER, LESS, ITS_OWN = float("inf"), 0.0, float("nan")

MEASURES: dict[str, Measure] = {
    "spearman": Measure("Spearman, everyone", "value", GREATER, _chosen("spearman")),
    "spearman_spenders": Measure("Spearman, users who spend", "value", GREATER, _of_value(_spenders)),
    "gini": Measure("Gini, normalised", "value", GREATER, _chosen("gini")),
    "top20_auc": Measure("AUC, top 20 % by spend", "value", GREATER, _chosen("top20_auc")),
    "top20_recall": Measure("Recall, top 20 % by spend", "value", GREATER, _of_value(_recall)),
    "top20_lift": Measure("Lift of spend, top 20 %", "value", GREATER, _of_value(_lift)),
    "churn_auc": Measure("AUC, leaving", "churn", GREATER, _chosen("churn_auc")),
    "churn_precision": Measure("Average precision, leaving", "churn", GREATER, _of_churn(_average_precision)),
    "churn_brier": Measure("Brier score, leaving", "churn", LESS, _of_churn(_square)),
    "churn_calibration": Measure("Calibration error, leaving", "churn", LESS, _of_churn(weighted.calibration_error)),
    "tier_f1": Measure("Macro-F1, tiers", "tier", GREATER, _chosen("tier_f1")),
    "tier_distance": Measure("Mean distance in tiers", "tier", LESS, _tier_distance),
    "tier_brier": Measure("Brier score, tiers", "tier", LESS, _tier_brier),
    "tier_calibration": Measure("Calibration error, tiers", "tier", LESS, _tier_calibration),
    "mae": Measure("MAE of the mean", "value", LESS, _of_value(_absolute)),
    "mae_median": Measure("MAE of the median", "median", LESS, _median_error),
    "rmse": Measure("RMSE", "value", LESS, _of_value(_root_square)),
    "decile_mape": Measure("MAPE of deciles", "value", LESS, _of_value(weighted.decile_error)),
    "total_ratio": Measure("Predicted / actual total", "value", 1.0, _of_value(_total_ratio)),
    "coverage": Measure("Interval coverage", "interval", ITS_OWN, _coverage),
    "width": Measure("Interval width, mean", "interval", LESS, _width),
    "price_spearman": Measure(
        "Spearman, price sensitivity", "price_sensitivity", GREATER, _of_sensitivity(weighted.spearman)
    ),
    "price_sensitivity_error": Measure(
        "MAE, price sensitivity", "price_sensitivity", LESS, _chosen("price_sensitivity_error")
    ),
    "price_calibration": Measure(
        "Calibration error, price sensitivity", "price_sensitivity", LESS, _of_sensitivity(weighted.calibration_error)
    ),
}
"""By name. Price sensitivity is an association with past prices, not the effect of a discount."""


LEVELS = (
    "churn_brier", "churn_calibration", "tier_f1", "tier_distance", "tier_brier", "tier_calibration", "mae",
    "mae_median", "rmse", "decile_mape", "total_ratio", "coverage", "width",
)  # fmt: skip
"""Measures that mean nothing where the bundle predicts a window of another length than what happened."""

PRICE = tuple(name for name, each in MEASURES.items() if each.score == "price_sensitivity")


def aimed(coverage: float | None) -> dict[str, Measure]:
    """``MEASURES`` of a bundle whose intervals were fitted to hold the share ``coverage`` of users, if it has any."""
    aim = ITS_OWN if coverage is None else coverage
    return {**MEASURES, "coverage": replace(MEASURES["coverage"], aim=aim)}


def measured(outcome: Outcome, scores: Decisions, weights: Floats) -> dict[str, Floats]:
    """(draws,) of each measure that ``scores`` hold what it needs for; NaN where it is not defined."""
    return {name: each.of(outcome, scores, weights) for name, each in MEASURES.items() if has(scores, each.score)}
