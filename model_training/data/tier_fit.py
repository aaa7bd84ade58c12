"""Fit the bounds of the tiers to the spend of training users."""

from itertools import pairwise
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ulvspark.contract.config import Strict
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TierSpec
from ulvspark.contract.tier_bounds import tier_of


class TierFit(Strict):
    """How the tiers are fitted: names, lowest first, and either ``quantiles`` of spend or ``amounts`` of money."""

    names: tuple[str, ...] = Field(min_length=2)
    quantiles: tuple[float, ...] | None = None
    """Rising shares between 0 and 1; the bounds are these quantiles of spend in platform scales."""
    of: Literal["everyone", "spenders"] = "everyone"
    """Whose spend the quantiles are taken of; spenders are those who spent more than 0 in the window."""
    amounts: tuple[float, ...] | None = None
    """The bounds themselves, in the currency of the warehouse. The bundle can then score no other currency."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.amounts if self.quantiles is None else self.quantiles
        if given is None or (self.quantiles is not None and self.amounts is not None):
            raise ValueError("give either quantiles or amounts")
        if len(set(self.names)) != len(self.names):
            raise ValueError("tier names must differ")
        if len(given) != len(self.names) - 1:
            raise ValueError(f"{len(self.names)} tier names need {len(self.names) - 1} bounds, not {len(given)}")
        if list(given) != sorted(set(given)):
            raise ValueError("quantiles and amounts must rise strictly")
        if self.quantiles is not None and not 0 < min(given) <= max(given) < 1:
            raise ValueError("quantiles lie between 0 and 1, both exclusive")
        return self


def fit_tiers(fit: TierFit, spend: np.ndarray, platform_scale: np.ndarray) -> TierSpec:
    """Tiers from training spend: ``spend`` (n,) in currency, ``platform_scale`` (n,) of each row's date.

    Raises ExpectedError when two bounds are equal or a tier holds nobody.
    """
    scaled = spend / platform_scale
    if fit.quantiles is not None:
        bounds = _quantile_bounds(fit, fit.quantiles, scaled)
        tier = tier_of(scaled, bounds)
    else:
        bounds = fit.amounts or ()
        tier = tier_of(spend, bounds)
    _check_occupied(fit, tier)
    means = tuple(float(scaled[tier == number].mean()) for number in range(len(fit.names)))
    unit: Literal["currency", "platform_scale"] = "platform_scale" if fit.amounts is None else "currency"
    return TierSpec(names=fit.names, bounds=bounds, unit=unit, means=means)


def _quantile_bounds(fit: TierFit, quantiles: tuple[float, ...], scaled: np.ndarray) -> tuple[float, ...]:
    values = scaled if fit.of == "everyone" else scaled[scaled > 0]
    if not len(values):
        raise ExpectedError("tiers: nobody spends in the training windows; add origins or lengthen the horizon")
    bounds = tuple(float(bound) for bound in np.quantile(values, quantiles))
    for low, high in pairwise(bounds):
        if low == high:
            raise ExpectedError(f"tiers: two quantiles of {fit.of} are both {low:g} platform scales; {_advice(fit)}")
    return bounds


def _check_occupied(fit: TierFit, tier: np.ndarray) -> None:
    users = np.bincount(tier, minlength=len(fit.names))
    empty = [name for name, number in zip(fit.names, users, strict=True) if not number]
    if empty:
        raise ExpectedError(f"tiers: no training user falls into {', '.join(empty)}; {_advice(fit)}")


def _advice(fit: TierFit) -> str:
    if fit.amounts is not None:
        return "choose amounts within the spend that occurs, or fewer tiers"
    if fit.of == "everyone":
        return "many users spend nothing, so use higher quantiles, `of: spenders`, or fewer tiers"
    return "use quantiles further apart, or fewer tiers"
