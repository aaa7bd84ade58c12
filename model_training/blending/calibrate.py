"""Fits a calibration to what was predicted of users that nothing was learned from, and to what they did."""

from collections.abc import Callable
from datetime import date

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, logit

from model_training.evaluation.metrics import Floats, Outcome
from ulvspark.model.network.heads import Spend
from ulvspark.model.parts.calibration import (
    SMALLEST,
    Calibration,
    ProbabilityCalibration,
    SpendCalibration,
    TierCalibration,
)
from ulvspark.model.parts.predictions import Prediction

SLOPES = (0.05, 20.0)
LEVEL_DEVIATION = 0.3
"""How far, as a logarithm, levels are expected to be off: what few users say against it counts for less."""

Labels = Floats


def fit_calibration(
    prediction: Prediction, outcome: Outcome, windows: tuple[date, ...], users: int, coverage: float
) -> Calibration:
    """A correction for each head of ``prediction`` (n rows of ``users`` users in ``windows``).

    ``coverage`` is the share of users whose spend the interval should hold.
    """
    seen = ~np.isnan(outcome.price_sensitivity)
    tier, churn, sensitivity = prediction.tier, prediction.churn, prediction.price_sensitivity
    return Calibration(
        windows=windows,
        users=users,
        tier=None if tier is None else fit_tier(tier, outcome.tier),
        spend=_fit_spend(prediction, outcome.spend, coverage),
        churn=None if churn is None else fit_probability(churn, outcome.churned),
        price_sensitivity=None
        if sensitivity is None or not seen.any()
        else fit_probability(sensitivity[seen], outcome.price_sensitivity[seen]),
    )


def fit_probability(probability: Floats, label: Labels) -> ProbabilityCalibration:
    """Least log loss of ``label`` (n,), 0 to 1; a standard normal prior on both numbers keeps few rows sober."""
    scores = logit(probability.clip(SMALLEST, 1 - SMALLEST))

    def loss(slope: float, offset: Floats) -> float:
        logits = slope * scores + offset
        return float(np.sum(np.logaddexp(0, logits) - label * logits))

    slope, offsets = _fit_line(loss, 1)
    return ProbabilityCalibration(slope=slope, offset=float(offsets[0]))


def fit_tier(probabilities: Floats, tier: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> TierCalibration:
    """Least log loss of ``tier`` (n,) given ``probabilities`` (n, K), with the same prior."""
    scores, rows = np.log(probabilities.clip(SMALLEST)), np.arange(len(tier))

    def loss(slope: float, offsets: Floats) -> float:
        return float(-log_softmax(slope * scores + offsets, axis=1)[rows, tier].sum())

    slope, offsets = _fit_line(loss, probabilities.shape[1])
    return TierCalibration(slope=slope, offsets=tuple(map(float, offsets)))


def _fit_line(loss: Callable[[float, Floats], float], size: int) -> tuple[float, Floats]:
    def total(values: Floats) -> float:
        slope, offsets = float(values[0]), values[1:]
        return loss(slope, offsets) + 0.5 * (slope - 1) ** 2 + 0.5 * float(offsets @ offsets)

    found = minimize(total, np.array([1.0, *[0.0] * size]), method="L-BFGS-B", bounds=[SLOPES, *[(-20, 20)] * size])
    return float(found.x[0]), found.x[1:]


def _fit_spend(prediction: Prediction, spend: Floats, coverage: float) -> SpendCalibration | None:
    if prediction.spend is None or prediction.value is None:
        return None
    found = SpendCalibration(
        probability=fit_probability(prediction.spend.probability.numpy(), (spend > 0).astype(np.float64)),
        **_fit_amounts(prediction.spend, spend),
        level=fit_level(prediction.value, spend),
        tail=0.1,
        coverage=coverage,
    )
    return found.model_copy(update={"tail": fit_tail(found.apply(prediction.spend), spend, coverage)})


def _fit_amounts(distribution: Spend, spend: Floats) -> dict[str, float]:
    """Mean and deviation of the standardised errors of log spend, of who spends; as if one more row had none."""
    spends = spend > 0
    mu, sigma = distribution.mu.numpy()[spends], distribution.sigma.numpy()[spends]
    errors = np.log(spend[spends]) - mu
    location = float(errors.sum() / (len(errors) + 1))
    squares = ((errors - location) / sigma) ** 2
    return {"location": location, "spread": float(np.sqrt((squares.sum() + 1) / (len(errors) + 1)))}


def fit_level(value: Floats, spend: Floats) -> float:
    """The factor that brings the sum of ``value`` to that of ``spend``, drawn to 1 as far as few spenders rule it.

    The logarithm of the ratio of sums is weighed against a normal prior by its standard error (delta method).
    """
    ratio = spend.sum() / value.sum()
    if not 0 < ratio < np.inf:
        return 1.0
    error = np.sqrt(((spend - ratio * value) ** 2).sum()) / spend.sum()
    trust = LEVEL_DEVIATION**2 / (LEVEL_DEVIATION**2 + error**2)
    return float(ratio**trust)


def fit_tail(distribution: Spend, spend: Floats, coverage: float) -> float:
    """The tail left out at either end so that ``coverage`` of the rows lie between the two quantiles.

    Split conformal prediction on the distribution itself: each row's score is the widest tail that still holds it. For
    as many new users of the same kind the interval holds at least ``coverage`` on average (Chernozhukov, Wüthrich and
    Zhu 2021, "Distributional conformal prediction", PNAS 118 (48)).
    """
    below = distribution.cumulative(torch.from_numpy(spend)).numpy()
    # Zero is within unless the lower end lies above it; the upper end never lies below it.
    widest = np.where(spend > 0, np.minimum(below, 1 - below), 1 - distribution.probability.numpy())
    rank = int((1 - coverage) * (len(spend) + 1))
    return float(np.sort(widest)[max(rank - 1, 0)].clip(1e-4, 0.4999))
