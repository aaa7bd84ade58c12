"""Corrections of what a bundle predicts, measured on users it never learned from: a few numbers each, kept as JSON."""

from datetime import date

import numpy as np
import torch
from pydantic import Field, FiniteFloat

from ulvspark.contract.config import Strict
from ulvspark.model.network.heads import Spend
from ulvspark.model.parts.predictions import Array, Prediction

SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken."""


class ProbabilityCalibration(Strict):
    """Platt scaling: a straight line on the logit. ``slope`` > 0, so the order of users stays."""

    slope: float = Field(1.0, gt=0, allow_inf_nan=False)
    offset: FiniteFloat = 0.0

    def apply(self, probability: Array) -> Array:
        """(n,) probabilities or shares to corrected ones."""
        p = probability.clip(SMALLEST, 1 - SMALLEST)
        logit = np.log(p) - np.log1p(-p)
        return np.asarray(1 / (1 + np.exp(-(self.slope * logit + self.offset))))


class TierCalibration(Strict):
    """Temperature and one bias a tier, on the logarithm of the probabilities (vector scaling with one slope).

    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017), arXiv 1706.04599.
    """

    slope: float = Field(gt=0, allow_inf_nan=False)
    offsets: tuple[FiniteFloat, ...]

    def apply(self, probabilities: Array) -> Array:
        """(n, K) probabilities to corrected ones; rows sum to 1."""
        scores = self.slope * np.log(probabilities.clip(SMALLEST)) + np.asarray(self.offsets)
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


class SpendCalibration(Strict):
    """Corrects the distribution of spend and, apart from it, the level of its mean, which few large spenders rule."""

    probability: ProbabilityCalibration
    """Of spending at all."""
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

    def apply(self, spend: Spend) -> Spend:
        """The corrected distribution."""
        probability = torch.from_numpy(self.probability.apply(spend.probability.numpy()))
        return Spend(probability, spend.mu + self.location, spend.sigma * self.spread)


class Calibration(Strict):
    """``calibration.json``: one correction a head, None where there is no such head."""

    windows: tuple[date, ...]
    """The dates whose label windows it was measured on."""
    users: int
    tier: TierCalibration | None
    spend: SpendCalibration | None
    churn: ProbabilityCalibration | None
    price_sensitivity: ProbabilityCalibration | None

    def apply(self, prediction: Prediction) -> Prediction:
        """The corrected prediction; the order of users by value, churn or price sensitivity stays as it was."""
        tier, spend = prediction.tier, prediction.spend
        level = 1.0 if self.spend is None else self.spend.level
        return Prediction(
            tier=tier if tier is None or self.tier is None else self.tier.apply(tier),
            value=None if prediction.value is None else prediction.value * level,
            spend=spend if spend is None or self.spend is None else self.spend.apply(spend),
            churn=_corrected(self.churn, prediction.churn),
            price_sensitivity=_corrected(self.price_sensitivity, prediction.price_sensitivity),
        )


def _corrected(correction: ProbabilityCalibration | None, probability: Array | None) -> Array | None:
    return probability if probability is None or correction is None else correction.apply(probability)
