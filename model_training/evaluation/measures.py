"""Every measure of the report: those that training chooses by, and those that only a report needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from model_training.data.outcome import Floats, Outcome
from model_training.evaluation import weighted
from model_training.evaluation.metrics import METRICS, TOP_SHARE, Metric, Statistic, in_top_share
from ulvspark.contract.heads import HEADS, Head
from ulvspark.contract.tier_bounds import likeliest_tier
from ulvspark.model.parts.predictions import Decisions

OfOneColumn = Callable[[Floats, Floats, Floats], Floats]
"""From a label (n,), its prediction (n,) and weights (draws, n) to (draws,)."""


@dataclass(frozen=True)
class ReportMeasure:
    """A measure, what it needs and which value of it is best."""

    title: str
    column: str
    """The score column that it looks at."""
    aim: float
    """The best value: infinity where greater is better; NaN where each bundle has its own (see ``aimed``)."""
    statistic: Statistic
    is_amount: bool = False
    """Whether the value is an amount: in platform scales here, in currency in a report."""

    def loss(self, values: Floats) -> Floats:
        """How far from the best; lower is better."""
        return -values if self.aim == np.inf else np.abs(values - self.aim)


def _of_training(name: Metric) -> Statistic:
    statistic = METRICS[name].statistic
    assert statistic is not None  # noqa: S101 - only the loss has none
    return statistic


def _of(head: Head, statistic: OfOneColumn) -> Statistic:
    """``statistic`` of the label and the first score column of ``head``, over the users whose label is known."""

    def over_known(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
        label, predicted = outcome.labels[head.name], scores[head.columns[0]]
        known = ~np.isnan(label)
        if known.all():
            return statistic(label, predicted, weights)
        if not known.any():
            return np.full(len(weights), np.nan)
        return statistic(label[known], predicted[known], weights[:, known])

    return over_known


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


def _total_ratio(label: Floats, predicted: Floats, weights: Floats) -> Floats:
    return weighted.ratio(weights @ predicted, weights @ label)


def _average_precision(churned: Floats, probability: Floats, weights: Floats) -> Floats:
    return weighted.average_precision(churned > 0, probability, weights)


def _median_error(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return _absolute(outcome.spend_in_scales, scores["expected_value_median"], weights)


def _tier_distance(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    predicted = likeliest_tier(scores["tier_probabilities"])
    return weighted.mean(np.abs(predicted - outcome.tier).astype(np.float64), weights)


def _tier_brier(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    probabilities = scores["tier_probabilities"]
    actual = np.eye(probabilities.shape[1])[outcome.tier]
    return weighted.mean(((probabilities - actual) ** 2).sum(axis=1), weights)


def _tier_calibration(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    """Mean over tiers of each tier's error; Kull et al. (2019), arXiv 1910.12656, call it classwise."""
    probabilities = scores["tier_probabilities"]
    errors = [
        weighted.calibration_error((outcome.tier == tier).astype(np.float64), probabilities[:, tier], weights)
        for tier in range(probabilities.shape[1])
    ]
    return np.asarray(np.mean(errors, axis=0))


def _coverage(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    spend, low, high = outcome.spend_in_scales, scores["expected_value_low"], scores["expected_value_high"]
    return weighted.mean(((spend >= low) & (spend <= high)).astype(np.float64), weights)


def _width(outcome: Outcome, scores: Decisions, weights: Floats) -> Floats:
    return weighted.mean(scores["expected_value_high"] - scores["expected_value_low"], weights)


GREATER, LESS, ITS_OWN = float("inf"), 0.0, float("nan")
VALUE, MEDIAN, INTERVAL = "expected_value", "expected_value_median", "expected_value_low"
CHURN, TIER, PRICE_SHARE = "churn_probability", "tier_probabilities", "price_sensitivity"


def _of_count(head: Head) -> dict[str, ReportMeasure]:
    """The measures of a head of kind ``count``: order, error and level."""
    [column] = head.columns
    return {
        f"{head.name}_spearman": ReportMeasure(
            f"Spearman, {head.title}", column, GREATER, _of(head, weighted.spearman)
        ),
        f"{head.name}_mae": ReportMeasure(f"MAE, {head.title}", column, LESS, _of(head, _absolute)),
        f"{head.name}_total_ratio": ReportMeasure(
            f"Predicted / actual total, {head.title}", column, 1.0, _of(head, _total_ratio)
        ),
    }


SPEND, LEAVING, PRICE_SENSITIVITY = HEADS["spend"], HEADS["churn"], HEADS["price_sensitivity"]

MEASURES: dict[str, ReportMeasure] = {
    "spearman": ReportMeasure("Spearman, everyone", VALUE, GREATER, _of_training("spearman")),
    "spearman_spenders": ReportMeasure("Spearman, users who spend", VALUE, GREATER, _of(SPEND, _spenders)),
    "gini": ReportMeasure("Gini, normalised", VALUE, GREATER, _of_training("gini")),
    "top20_auc": ReportMeasure("AUC, top 20 % by spend", VALUE, GREATER, _of_training("top20_auc")),
    "top20_recall": ReportMeasure("Recall, top 20 % by spend", VALUE, GREATER, _of(SPEND, _recall)),
    "top20_lift": ReportMeasure("Lift of spend, top 20 %", VALUE, GREATER, _of(SPEND, _lift)),
    "churn_auc": ReportMeasure("AUC, leaving", CHURN, GREATER, _of_training("churn_auc")),
    "churn_precision": ReportMeasure("Average precision, leaving", CHURN, GREATER, _of(LEAVING, _average_precision)),
    "churn_brier": ReportMeasure("Brier score, leaving", CHURN, LESS, _of(LEAVING, _square)),
    "churn_calibration": ReportMeasure(
        "Calibration error, leaving", CHURN, LESS, _of(LEAVING, weighted.calibration_error)
    ),
    "tier_f1": ReportMeasure("Macro-F1, tiers", TIER, GREATER, _of_training("tier_f1")),
    "tier_distance": ReportMeasure("Mean distance in tiers", TIER, LESS, _tier_distance),
    "tier_brier": ReportMeasure("Brier score, tiers", TIER, LESS, _tier_brier),
    "tier_calibration": ReportMeasure("Calibration error, tiers", TIER, LESS, _tier_calibration),
    "mae": ReportMeasure("MAE of the mean", VALUE, LESS, _of(SPEND, _absolute), is_amount=True),
    "mae_median": ReportMeasure("MAE of the median", MEDIAN, LESS, _median_error, is_amount=True),
    "rmse": ReportMeasure("RMSE", VALUE, LESS, _of(SPEND, _root_square), is_amount=True),
    "decile_mape": ReportMeasure("MAPE of deciles", VALUE, LESS, _of(SPEND, weighted.decile_error)),
    "total_ratio": ReportMeasure("Predicted / actual total", VALUE, 1.0, _of(SPEND, _total_ratio)),
    "coverage": ReportMeasure("Interval coverage", INTERVAL, ITS_OWN, _coverage),
    "width": ReportMeasure("Interval width, mean", INTERVAL, LESS, _width, is_amount=True),
    "price_spearman": ReportMeasure(
        "Spearman, price sensitivity", PRICE_SHARE, GREATER, _of(PRICE_SENSITIVITY, weighted.spearman)
    ),
    "price_sensitivity_error": ReportMeasure(
        "MAE, price sensitivity", PRICE_SHARE, LESS, _of_training("price_sensitivity_error")
    ),
    "price_calibration": ReportMeasure(
        "Calibration error, price sensitivity", PRICE_SHARE, LESS,
        _of(PRICE_SENSITIVITY, weighted.calibration_error),
    ),
    **{name: measure for head in HEADS.values() if head.kind == "count" for name, measure in _of_count(head).items()},
}  # fmt: skip
"""By name. Price sensitivity is an association with past prices, not the effect of a discount."""


LEVELS = (
    "churn_brier", "churn_calibration", "tier_f1", "tier_distance", "tier_brier", "tier_calibration", "mae",
    "mae_median", "rmse", "decile_mape", "total_ratio", "coverage", "width",
    *(f"{head.name}_{name}" for head in HEADS.values() if head.kind == "count" for name in ("mae", "total_ratio")),
)  # fmt: skip
"""Measures that mean nothing where the bundle predicts a window of another length than what happened."""

PRICE = tuple(name for name, measure in MEASURES.items() if measure.column == PRICE_SHARE)


def aimed(coverage: float | None) -> dict[str, ReportMeasure]:
    """``MEASURES`` of a bundle whose intervals were fitted to hold the share ``coverage`` of users, if it has any."""
    aim = ITS_OWN if coverage is None else coverage
    return {**MEASURES, "coverage": replace(MEASURES["coverage"], aim=aim)}


def measured(outcome: Outcome, scores: Decisions, weights: Floats) -> dict[str, Floats]:
    """(draws,) of each measure whose column is in ``scores``; NaN where it is not defined.

    Amounts, those of ``scores`` too, are in platform scales.
    """
    return {
        name: measure.statistic(outcome, scores, weights)
        for name, measure in MEASURES.items()
        if measure.column in scores
    }


def in_currency(figures: dict[str, Floats], platform_scale: float) -> dict[str, Floats]:
    """Figures by name of measure, with those that are amounts in currency instead of platform scales."""
    return {name: values * platform_scale if MEASURES[name].is_amount else values for name, values in figures.items()}
