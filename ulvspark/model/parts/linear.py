"""Logistic and ridge regression on log recency, frequency and money: hard to beat where labels are few."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field

from ulvspark.contract.config import Strict
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.population import Population
from ulvspark.model.network.heads import MU_RANGE, Spend
from ulvspark.model.parts.predictions import Array, Prediction

COUNTS = ("recency_days", "tenure_days", "orders")


def rfm_names(spec: HistorySpec) -> tuple[str, ...]:
    """The columns of ``rfm_matrix``."""
    return (*spec.money_numbers, *COUNTS, *(f"orders_{days}d" for days in spec.windows_days))


def rfm_matrix(numbers: pd.DataFrame, population: Population, spec: HistorySpec) -> Array:
    """(n, R): the logarithm of money in platform scales and of counts, NaN where unknown.

    ``numbers`` holds the columns ``spec.numbers``, a row a user.
    """
    values = numbers[list(rfm_names(spec))].to_numpy(dtype=np.float64, na_value=np.nan)
    money = len(spec.money_numbers)
    scaled = np.hstack([values[:, :money] / population.platform_scale, values[:, money:]])
    # Returns may exceed purchases; below nothing is nothing.
    return np.asarray(np.log1p(scaled.clip(0)))


class Regression(Strict):
    """One linear model on standardised columns, or K of them: ``weights`` (K, R) and ``offsets`` (K,)."""

    weights: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]

    def apply(self, columns: Array) -> Array:
        """(n, R) to (n, K)."""
        return np.asarray(columns @ np.asarray(self.weights).T + np.asarray(self.offsets))


class Linear(Strict):
    """``linear.json``: a regression for each target of the heads that are there, and how its input is standardised."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    tier: Regression | None
    spends: Regression | None
    """Logit of spending at all."""
    log_spend: Regression | None
    """Logarithm of how much, in platform scales, of who spends."""
    sigma: float | None = Field(gt=0, allow_inf_nan=False)
    """Standard deviation around ``log_spend``."""
    churn: Regression | None

    def predict(self, rfm: Array) -> Prediction:
        """Of n users from ``rfm_matrix``; nothing of price sensitivity, of which these columns know nothing."""
        columns = self.standardise(rfm)
        spend = self._spend(columns)
        return Prediction(
            tier=None if self.tier is None else _softmax(self.tier.apply(columns)),
            value=None if spend is None else spend.mean().numpy(),
            spend=spend,
            churn=None if self.churn is None else _sigmoid(self.churn.apply(columns)[:, 0]),
        )

    def standardise(self, rfm: Array) -> Array:
        """(n, R) to mean 0 and deviation 1; the unknown become the mean."""
        return np.asarray(np.nan_to_num((rfm - np.asarray(self.mean)) / np.asarray(self.std), nan=0.0))

    def _spend(self, columns: Array) -> Spend | None:
        if self.spends is None or self.log_spend is None or self.sigma is None:
            return None
        # Far outside what was seen a straight line promises fortunes.
        mu = self.log_spend.apply(columns)[:, 0].clip(*MU_RANGE)
        probability = _sigmoid(self.spends.apply(columns)[:, 0])
        return Spend(*(torch.from_numpy(each) for each in (probability, mu, np.full_like(mu, self.sigma))))


def _sigmoid(logit: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logit.clip(-500, 500))))


def _softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def statistics(rfm: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation (R,) of the known; a constant column gets deviation 1."""
    known = np.ma.masked_invalid(rfm)
    mean, std = known.mean(axis=0).filled(0.0), known.std(axis=0).filled(1.0)
    return mean, np.where(std < 1e-6, 1.0, std)
