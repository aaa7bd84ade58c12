"""Fits the linear part of a bundle: logistic and ridge regression on log recency, frequency and money."""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression, Ridge

from model_training.evaluation.metrics import Floats, Outcome
from ulvspark.contract.spec import Head
from ulvspark.model.network.heads import SIGMA_RANGE
from ulvspark.model.parts.linear import Linear, Regression, statistics


def fit_linear(rfm: Floats, outcome: Outcome, heads: tuple[Head, ...]) -> Linear:
    """Regressions for ``heads`` from the rows of ``rfm`` (n, R) and the labels of the same rows.

    Every class must occur. The penalty is that of a standard normal prior on each weight, which is about right from
    fifty rows on.
    """
    mean, std = statistics(rfm)
    columns = np.nan_to_num((rfm - mean) / std, nan=0.0)
    spends = outcome.spend > 0
    log_spend, sigma = _ridge(columns[spends], np.log(outcome.spend[spends])) if "spend" in heads else (None, None)
    return Linear(
        mean=tuple(mean),
        std=tuple(std),
        tier=_multinomial(columns, outcome.tier) if "tier" in heads else None,
        spends=_logistic(columns, spends.astype(np.int64)) if "spend" in heads else None,
        log_spend=log_spend,
        sigma=sigma,
        churn=_logistic(columns, outcome.churned.astype(np.int64)) if "churn" in heads else None,
    )


def _logistic(columns: Floats, label: npt.NDArray[np.int64]) -> Regression:
    """One row of weights a class, or the logit of the second class where there are two."""
    model = LogisticRegression(max_iter=1000).fit(columns, label)
    return _regression(model.coef_, model.intercept_)


def _multinomial(columns: Floats, tier: npt.NDArray[np.int64]) -> Regression:
    found = _logistic(columns, tier)
    if len(found.offsets) > 1:
        return found
    none = (0.0,) * len(found.weights[0])
    return Regression(weights=(none, *found.weights), offsets=(0.0, *found.offsets))


def _ridge(columns: Floats, label: Floats) -> tuple[Regression, float]:
    model = Ridge().fit(columns, label)
    sigma = float(np.clip(np.std(label - model.predict(columns)), *SIGMA_RANGE))
    return _regression(model.coef_[None], np.array([model.intercept_])), sigma


def _regression(weights: Floats, offsets: Floats) -> Regression:
    return Regression(weights=tuple(tuple(map(float, row)) for row in weights), offsets=tuple(map(float, offsets)))
