"""What a tier is: half-open bounds over spend, which tier a spend falls into, and which tier is the likeliest."""

import numpy as np
import numpy.typing as npt

from ulvspark.contract.spec import TierSpec


def tier_of(spend: np.ndarray, bounds: tuple[float, ...]) -> np.ndarray:
    """Tier numbers (n,), 0 lowest: tier ``i`` holds spend in [bounds[i - 1], bounds[i]), the outer tiers are open.

    ``spend`` (n,) is in the unit of ``bounds``.
    """
    return np.searchsorted(np.asarray(bounds), spend, side="right")


def label_tiers(tiers: TierSpec, spend: np.ndarray, platform_scale: np.ndarray) -> np.ndarray:
    """Tier numbers (n,) of ``spend`` (n,) in currency, ``platform_scale`` (n,) being the scale on each row's date."""
    return tier_of(spend if tiers.unit == "currency" else spend / platform_scale, tiers.bounds)


def likeliest_tier(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Tier numbers (n,) of the greatest of ``probabilities`` (n, K), lowest tier first; of equal ones the lowest."""
    return np.asarray(np.argmax(probabilities, axis=1))
