"""Logistic, ridge and Poisson regression on logarithms of recency, frequency and money: strong when labels are few."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field

from ulvspark.contract.config import Strict
from ulvspark.contract.heads import HEADS, HeadName, Kind
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.population import Population
from ulvspark.model.network.heads import LOG_COUNT_RANGE, MU_RANGE, ZeroInflatedLognormal
from ulvspark.model.parts.predictions import Array, Predicted, Prediction

COUNT_COLUMNS = ("recency_days", "tenure_days", "orders")


def rfm_names(spec: HistorySpec) -> tuple[str, ...]:
    """The columns of ``rfm_matrix``."""
    return (*spec.money_numbers, *COUNT_COLUMNS, *(f"orders_{days}d" for days in spec.windows_days))


def rfm_matrix(numbers: pd.DataFrame, population: Population, spec: HistorySpec) -> Array:
    """(n, R): the logarithm of money in platform scales and of counts, NaN where unknown.

    ``numbers`` holds the columns ``spec.numbers``, a row a user.
    """
    values = numbers[list(rfm_names(spec))].to_numpy(dtype=np.float64, na_value=np.nan)
    money = len(spec.money_numbers)
    scaled = np.hstack([values[:, :money] / population.platform_scale, values[:, money:]])
    # Returns may exceed purchases, and a net spend below 0 has no logarithm.
    return np.asarray(np.log1p(scaled.clip(0)))


class Regression(Strict):
    """One linear model on standardised columns, or K of them: ``weights`` (K, R) and ``offsets`` (K,)."""

    weights: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]

    def apply(self, columns: Array) -> Array:
        """(n, R) to (n, K)."""
        return np.asarray(columns @ np.asarray(self.weights).T + np.asarray(self.offsets))


class AmountRegression(Strict):
    """Of an amount."""

    positive: Regression
    """Logit of an amount above 0."""
    log: Regression
    """Logarithm of an amount above 0, in platform scales."""
    sigma: float = Field(gt=0, allow_inf_nan=False)
    """Standard deviation around ``log``."""

    def distribution(self, columns: Array) -> ZeroInflatedLognormal:
        """(n, R) to the distribution of n amounts."""
        # Far outside the training data a straight line predicts absurdly large amounts.
        mu = self.log.apply(columns)[:, 0].clip(*MU_RANGE)
        probability = _sigmoid(self.positive.apply(columns)[:, 0])
        return ZeroInflatedLognormal(*map(torch.from_numpy, (probability, mu, np.full_like(mu, self.sigma))))


class Linear(Strict):
    """``linear.json``: how the columns are standardised, and a regression for each head that they can predict."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    heads: dict[HeadName, Regression | AmountRegression]
    """None for heads of kind ``share``: these columns say nothing about price sensitivity."""

    def predict(self, rfm: Array) -> Prediction:
        """Of n users from ``rfm_matrix``."""
        columns = self.standardise(rfm)
        return {head: _predicted(HEADS[head].kind, regression, columns) for head, regression in self.heads.items()}

    def standardise(self, rfm: Array) -> Array:
        """(n, R) to mean 0 and deviation 1; unknown values become the mean."""
        return np.asarray(np.nan_to_num((rfm - np.asarray(self.mean)) / np.asarray(self.std), nan=0.0))


def _predicted(kind: Kind, regression: Regression | AmountRegression, columns: Array) -> Predicted:
    if isinstance(regression, AmountRegression):
        distribution = regression.distribution(columns)
        return Predicted(distribution.mean().numpy(), distribution)
    outputs = regression.apply(columns)
    if kind == "classes":
        return Predicted(_softmax(outputs))
    return Predicted(np.exp(outputs[:, 0].clip(*LOG_COUNT_RANGE)) if kind == "count" else _sigmoid(outputs[:, 0]))


def _sigmoid(logit: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logit.clip(-500, 500))))


def _softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def statistics(rfm: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation (R,) of the known values; a constant column gets deviation 1."""
    known = np.ma.masked_invalid(rfm)
    mean, std = known.mean(axis=0).filled(0.0), known.std(axis=0).filled(1.0)
    return mean, np.where(std < 1e-6, 1.0, std)
