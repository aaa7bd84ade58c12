"""What is predicted of a user: head outputs to probabilities and amounts, and these to scores."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ulvspark.contract.spec import Head, TierSpec
from ulvspark.model.network import heads
from ulvspark.model.network.heads import Spend

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """What one part of a bundle, or several blended, say of n users; None where there is no head for it."""

    tier: Array | None = None
    """(n, K) probabilities, rows sum to 1."""
    value: Array | None = None
    """(n,) mean spend in platform scales."""
    spend: Spend | None = None
    """The distribution whose median and quantiles are shown; its mean need not be ``value``."""
    churn: Array | None = None
    price_sensitivity: Array | None = None


@dataclass(frozen=True)
class Decisions:
    """Scores of n users; None where the bundle has no head for it. Amounts are in the warehouse's currency."""

    tier_probabilities: Array | None
    """(n, K), rows sum to 1."""
    expected_value: Array | None
    """Mean spend, or the mean over tiers where there is no spend head."""
    expected_value_median: Array | None
    churn_probability: Array | None
    price_sensitivity: Array | None
    """Share of spend expected below reference price: an association, not an effect of discounts."""
    expected_value_low: Array | None = None
    """Lower end of the interval that the bundle's calibration measured; None in a bundle without calibration."""
    expected_value_high: Array | None = None


def predict(raw: Mapping[Head, Tensor]) -> Prediction:
    """The network's prediction from the raw outputs of the heads that are there."""
    tier, churn, sensitivity = (raw.get(head) for head in ("tier", "churn", "price_sensitivity"))
    spend = heads.spend_distribution(raw["spend"]) if "spend" in raw else None
    return Prediction(
        tier=None if tier is None else heads.tier_probabilities(tier).numpy(),
        value=None if spend is None else spend.mean().numpy(),
        spend=spend,
        churn=None if churn is None else heads.probability(churn).numpy(),
        price_sensitivity=None if sensitivity is None else heads.probability(sensitivity).numpy(),
    )


def in_currency(prediction: Prediction, tiers: TierSpec, platform_scale: float, tail: float | None = None) -> Decisions:
    """Scores from a prediction; the interval leaves ``tail`` of the distribution out at either end (None: no interval).

    ``tail`` below 0.5 keeps low <= median <= high.
    """
    value, spend = prediction.value, prediction.spend
    if value is None and prediction.tier is not None:
        value = prediction.tier @ np.asarray(tiers.means)

    def quantile(q: float | None) -> Array | None:
        return None if spend is None or q is None else spend.quantile(q).numpy() * platform_scale

    return Decisions(
        tier_probabilities=prediction.tier,
        expected_value=None if value is None else value * platform_scale,
        expected_value_median=quantile(0.5),
        churn_probability=prediction.churn,
        price_sensitivity=prediction.price_sensitivity,
        expected_value_low=quantile(tail),
        expected_value_high=quantile(None if tail is None else 1 - tail),
    )


def read_outputs(raw: Mapping[Head, Tensor], tiers: TierSpec, platform_scale: float) -> Decisions:
    """Scores of the network alone from its raw outputs."""
    return in_currency(predict(raw), tiers, platform_scale)
