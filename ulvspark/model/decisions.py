"""What is decided of a user: raw head outputs to probabilities and amounts."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ulvspark.contract.spec import Head, TierSpec
from ulvspark.model import heads
from ulvspark.model.network import Decider

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decisions:
    """Scores of n users; None where the bundle has no head for it. Amounts are in the warehouse's currency."""

    tier_probabilities: Array | None
    """(n, K), rows sum to 1."""
    expected_value: Array | None
    """Mean of the spend head, or the mean over tiers where there is none."""
    expected_value_median: Array | None
    churn_probability: Array | None
    price_sensitivity: Array | None
    """Share of spend expected below reference price: an association, not an effect of discounts."""


def decide(
    decider: Decider,
    tiers: TierSpec,
    vectors: npt.NDArray[np.float32],
    features: npt.NDArray[np.float32],
    platform_scale: float,
) -> Decisions:
    """Scores of n users from (n, vector_size) vectors and (n, F) features, NaN where unknown."""
    with torch.inference_mode():
        raw = decider(torch.from_numpy(vectors), torch.from_numpy(features))
    return read_outputs({head: output.double() for head, output in raw.items()}, tiers, platform_scale)


def read_outputs(raw: dict[Head, Tensor], tiers: TierSpec, platform_scale: float) -> Decisions:
    """Scores from the raw outputs of the heads that are there."""
    tier, spend, churn, sensitivity = (raw.get(head) for head in ("tier", "spend", "churn", "price_sensitivity"))
    probabilities = None if tier is None else heads.tier_probabilities(tier).numpy()
    value = None if spend is None else heads.spend_mean(spend).numpy() * platform_scale
    if value is None and probabilities is not None:
        value = probabilities @ np.asarray(tiers.means) * platform_scale
    return Decisions(
        tier_probabilities=probabilities,
        expected_value=value,
        expected_value_median=None if spend is None else heads.spend_median(spend).numpy() * platform_scale,
        churn_probability=None if churn is None else heads.probability(churn).numpy(),
        price_sensitivity=None if sensitivity is None else heads.probability(sensitivity).numpy(),
    )
