"""Corrections of what a bundle predicts, measured on users it never learned from: a few numbers each, kept as JSON."""

from datetime import date
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, FiniteFloat

from ulvspark.contract.config import Strict
from ulvspark.contract.heads import HeadName
from ulvspark.model.network.heads import ZeroInflatedLognormal
from ulvspark.model.parts.predictions import Array, Predicted, Prediction

MIN_PROBABILITY = 1e-6
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken."""


class ProbabilityCalibration(Strict):
    """Platt scaling: a straight line on the logit. ``slope`` > 0, so the order of users stays."""

    kind: Literal["probability"] = "probability"
    slope: float = Field(1.0, gt=0, allow_inf_nan=False)
    offset: FiniteFloat = 0.0

    def correct(self, probability: Array) -> Array:
        """(n,) probabilities or shares to corrected ones."""
        p = probability.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
        logit = np.log(p) - np.log1p(-p)
        return np.asarray(1 / (1 + np.exp(-(self.slope * logit + self.offset))))

    def apply(self, predicted: Predicted) -> Predicted:
        return Predicted(self.correct(predicted.value))


class ClassesCalibration(Strict):
    """Temperature and one bias a class, on the logarithm of the probabilities (vector scaling with one slope).

    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017), arXiv 1706.04599.
    """

    kind: Literal["classes"] = "classes"
    slope: float = Field(gt=0, allow_inf_nan=False)
    offsets: tuple[FiniteFloat, ...]

    def correct(self, probabilities: Array) -> Array:
        """(n, K) probabilities to corrected ones; rows sum to 1."""
        scores = self.slope * np.log(probabilities.clip(MIN_PROBABILITY)) + np.asarray(self.offsets)
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def apply(self, predicted: Predicted) -> Predicted:
        return Predicted(self.correct(predicted.value))


class AmountCalibration(Strict):
    """Corrects the distribution of an amount and, apart from it, the level of its mean.

    The mean has a level of its own because it depends on a few large amounts.
    """

    kind: Literal["amount"] = "amount"
    probability: ProbabilityCalibration
    """Of an amount above 0."""
    location: FiniteFloat
    """Added to mu."""
    spread: float = Field(gt=0, allow_inf_nan=False)
    """Times sigma."""
    level: float = Field(gt=0, allow_inf_nan=False)
    """Times the mean."""
    tail: float = Field(gt=0, lt=0.5)
    """The interval leaves this much of the distribution out at either end."""
    coverage: float = Field(gt=0, lt=1)
    """The share of users that the interval was fitted to hold."""

    def correct(self, distribution: ZeroInflatedLognormal) -> ZeroInflatedLognormal:
        """The corrected distribution."""
        probability = torch.from_numpy(self.probability.correct(distribution.probability.numpy()))
        return ZeroInflatedLognormal(probability, distribution.mu + self.location, distribution.sigma * self.spread)

    def apply(self, predicted: Predicted) -> Predicted:
        distribution = predicted.distribution
        return Predicted(
            predicted.value * self.level, None if distribution is None else self.correct(distribution), self.tail
        )


class CountCalibration(Strict):
    """Corrects the level of a count."""

    kind: Literal["count"] = "count"
    level: float = Field(gt=0, allow_inf_nan=False)
    """Times the mean."""

    def apply(self, predicted: Predicted) -> Predicted:
        return Predicted(predicted.value * self.level)


HeadCalibration = Annotated[
    ClassesCalibration | AmountCalibration | CountCalibration | ProbabilityCalibration, Field(discriminator="kind")
]


class Calibration(Strict):
    """``calibration.json``: one correction a head."""

    windows: tuple[date, ...]
    """The dates whose label windows it was measured on."""
    users: int
    heads: dict[HeadName, HeadCalibration]
    """A head that is not in it stays as it is."""

    def apply(self, prediction: Prediction) -> Prediction:
        """The corrected prediction; the order of users by a value, probability or share stays as it was."""
        return {
            head: self.heads[head].apply(predicted) if head in self.heads else predicted
            for head, predicted in prediction.items()
        }

    def coverage(self, head: str) -> float | None:
        """The share of users that the interval of ``head`` was fitted to hold; None where it has no interval."""
        fitted = self.heads.get(head)
        return fitted.coverage if isinstance(fitted, AmountCalibration) else None
