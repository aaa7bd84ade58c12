"""Fits the linear part of a bundle: logistic and ridge regression on log recency, frequency and money."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from model_training.data.outcome import Floats, Outcome
from ulvspark.contract.heads import HEADS, Kind
from ulvspark.model.network.heads import SIGMA_RANGE
from ulvspark.model.parts.linear import AmountRegression, Linear, Regression, statistics


def fit_linear(rfm: Floats, outcome: Outcome, heads: tuple[str, ...]) -> Linear:
    """Regressions for ``heads`` from the rows of ``rfm`` (n, R) and the labels of the same rows.

    Every class must occur. The penalty is that of a standard normal prior on each weight, which suits fifty rows and
    more.
    """
    mean, std = statistics(rfm)
    columns = np.nan_to_num((rfm - mean) / std, nan=0.0)
    fitted = {head: _fit(HEADS[head].kind, columns, outcome.labels[head]) for head in heads}
    regressions = {head: regression for head, regression in fitted.items() if regression is not None}
    return Linear(mean=tuple(mean), std=tuple(std), heads=regressions)


def _fit(kind: Kind, columns: Floats, label: npt.NDArray[Any]) -> Regression | AmountRegression | None:
    match kind:
        case "classes":
            return _multinomial(columns, label)
        case "amount":
            positive = label > 0
            log, sigma = _ridge(columns[positive], np.log(label[positive]))
            return AmountRegression(positive=_logistic(columns, positive.astype(np.int64)), log=log, sigma=sigma)
        case "count":
            return _poisson(columns, label)
        case "probability":
            return _logistic(columns, label.astype(np.int64))
        case "share":
            return None


def _logistic(columns: Floats, label: npt.NDArray[np.int64]) -> Regression:
    """One row of weights a class; where there are two classes, one row for the logit of the second."""
    model = LogisticRegression(max_iter=1000).fit(columns, label)
    return _regression(model.coef_, model.intercept_)


def _multinomial(columns: Floats, tier: npt.NDArray[np.int64]) -> Regression:
    fitted = _logistic(columns, tier)
    if len(fitted.offsets) > 1:
        return fitted
    none = (0.0,) * len(fitted.weights[0])
    return Regression(weights=(none, *fitted.weights), offsets=(0.0, *fitted.offsets))


def _ridge(columns: Floats, label: Floats) -> tuple[Regression, float]:
    model = Ridge().fit(columns, label)
    sigma = float(np.clip(np.std(label - model.predict(columns)), *SIGMA_RANGE))
    return _regression(model.coef_[None], np.array([model.intercept_])), sigma


def _poisson(columns: Floats, label: Floats) -> Regression:
    """Of the logarithm of the expected count."""
    model = PoissonRegressor(alpha=1 / len(label), max_iter=1000).fit(columns, label)
    return _regression(model.coef_[None], np.array([model.intercept_]))


def _regression(weights: Floats, offsets: Floats) -> Regression:
    return Regression(weights=tuple(tuple(map(float, row)) for row in weights), offsets=tuple(map(float, offsets)))
