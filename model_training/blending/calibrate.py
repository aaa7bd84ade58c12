"""Fits a calibration on held-out users: to what was predicted of them and what they did."""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, logit

from model_training.data.outcome import Floats, Outcome
from ulvspark.contract.heads import HEADS, Kind
from ulvspark.model.network.heads import ZeroInflatedLognormal
from ulvspark.model.parts.calibration import (
    MIN_PROBABILITY,
    AmountCalibration,
    Calibration,
    ClassesCalibration,
    CountCalibration,
    HeadCalibration,
    ProbabilityCalibration,
)
from ulvspark.model.parts.predictions import Predicted, Prediction

SLOPES = (0.05, 20.0)
LEVEL_DEVIATION = 0.3
"""Standard deviation of the prior of the logarithm of a level. With few users the level stays near 1."""


def fit_calibration(
    prediction: Prediction, outcome: Outcome, windows: tuple[date, ...], users: int, coverage: float
) -> Calibration:
    """A correction for each head of ``prediction`` that has a known label (n rows of ``users`` users in ``windows``).

    ``coverage`` is the share of users whose amount the interval should hold.
    """
    heads = {
        head: _fit(HEADS[head].kind, predicted.take(known), outcome.labels[head][known], coverage)
        for head, predicted in prediction.items()
        if len(known := np.flatnonzero(~np.isnan(outcome.labels[head])))
    }
    return Calibration(windows=windows, users=users, heads=heads)


def _fit(kind: Kind, predicted: Predicted, label: npt.NDArray[Any], coverage: float) -> HeadCalibration:
    match kind:
        case "classes":
            return fit_classes(predicted.value, label)
        case "amount":
            return _fit_amount(predicted, label, coverage)
        case "count":
            return CountCalibration(level=fit_level(predicted.value, label))
        case "probability" | "share":
            return fit_probability(predicted.value, label)


def fit_probability(probability: Floats, label: Floats) -> ProbabilityCalibration:
    """Least log loss of ``label`` (n,), 0 to 1; a standard normal prior on both numbers regularises small samples."""
    scores = logit(probability.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY))

    def loss(slope: float, offset: Floats) -> float:
        logits = slope * scores + offset
        return float(np.sum(np.logaddexp(0, logits) - label * logits))

    slope, offsets = _fit_line(loss, 1)
    return ProbabilityCalibration(slope=slope, offset=float(offsets[0]))


def fit_classes(probabilities: Floats, label: npt.NDArray[np.int64]) -> ClassesCalibration:
    """Least log loss of class numbers ``label`` (n,) given ``probabilities`` (n, K), with the same prior."""
    scores, rows = np.log(probabilities.clip(MIN_PROBABILITY)), np.arange(len(label))

    def loss(slope: float, offsets: Floats) -> float:
        return float(-log_softmax(slope * scores + offsets, axis=1)[rows, label].sum())

    slope, offsets = _fit_line(loss, probabilities.shape[1])
    return ClassesCalibration(slope=slope, offsets=tuple(map(float, offsets)))


def _fit_line(loss: Callable[[float, Floats], float], size: int) -> tuple[float, Floats]:
    def total(values: Floats) -> float:
        slope, offsets = float(values[0]), values[1:]
        return loss(slope, offsets) + 0.5 * (slope - 1) ** 2 + 0.5 * float(offsets @ offsets)

    minimum = minimize(total, np.array([1.0, *[0.0] * size]), method="L-BFGS-B", bounds=[SLOPES, *[(-20, 20)] * size])
    return float(minimum.x[0]), minimum.x[1:]


def _fit_amount(predicted: Predicted, amount: Floats, coverage: float) -> AmountCalibration:
    distribution = predicted.distribution
    assert distribution is not None  # noqa: S101 - every part gives an amount's distribution
    location, spread = _fit_logarithm(distribution, amount)
    calibration = AmountCalibration(
        probability=fit_probability(distribution.probability.numpy(), (amount > 0).astype(np.float64)),
        location=location,
        spread=spread,
        level=fit_level(predicted.value, amount),
        tail=0.1,
        coverage=coverage,
    )
    return calibration.model_copy(update={"tail": fit_tail(calibration.correct(distribution), amount, coverage)})


def _fit_logarithm(distribution: ZeroInflatedLognormal, amount: Floats) -> tuple[float, float]:
    """Mean and deviation of the errors of the logarithm of amounts above 0, as if one more row had no error."""
    positive = amount > 0
    mu, sigma = distribution.mu.numpy()[positive], distribution.sigma.numpy()[positive]
    errors = np.log(amount[positive]) - mu
    location = float(errors.sum() / (len(errors) + 1))
    squares = ((errors - location) / sigma) ** 2
    return location, float(np.sqrt((squares.sum() + 1) / (len(errors) + 1)))


def fit_level(value: Floats, label: Floats) -> float:
    """The factor that brings the sum of ``value`` to that of ``label``, closer to 1 where few users make up the sum.

    The logarithm of the ratio of sums is weighed against a normal prior by its standard error (delta method).
    """
    ratio = label.sum() / value.sum()
    if not 0 < ratio < np.inf:
        return 1.0
    error = np.sqrt(((label - ratio * value) ** 2).sum()) / label.sum()
    trust = LEVEL_DEVIATION**2 / (LEVEL_DEVIATION**2 + error**2)
    return float(ratio**trust)


def fit_tail(distribution: ZeroInflatedLognormal, amount: Floats, coverage: float) -> float:
    """The tail left out at either end so that ``coverage`` of the rows lie between the two quantiles.

    Split conformal prediction on the distribution itself: each row's score is the widest tail that still holds it. For
    as many new users of the same kind the interval holds at least ``coverage`` on average (Chernozhukov, Wüthrich and
    Zhu 2021, "Distributional conformal prediction", PNAS 118 (48)).
    """
    below = distribution.cumulative(torch.from_numpy(amount)).numpy()
    # Zero is within unless the lower end lies above it; the upper end never lies below it.
    widest = np.where(amount > 0, np.minimum(below, 1 - below), 1 - distribution.probability.numpy())
    rank = int((1 - coverage) * (len(amount) + 1))
    return float(np.sort(widest)[max(rank - 1, 0)].clip(1e-4, 0.4999))
