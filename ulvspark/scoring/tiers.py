"""Give each user a tier by probability, cost or quota, and keep it steady from night to night (hysteresis)."""

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Annotated, Self

from pydantic import Field, FiniteFloat, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.config import Strict
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.heads import filled_columns
from ulvspark.contract.schema import SCORES_HISTORY
from ulvspark.contract.spec import TierSpec
from ulvspark.model.bundle.manifest import Manifest
from ulvspark.scoring.quotas import QuotaRule

Costs = dict[str, dict[str, FiniteFloat]]
Quotas = dict[str, Annotated[float, Field(gt=0, lt=1)]]


class TierDecision(Strict):
    """``conf/tiers.yaml``: how tiers are decided. What the tiers are is frozen in the bundle."""

    hysteresis_margin: FiniteFloat = Field(ge=0)
    """How far the rule must prefer another tier before a user leaves the tier of the date before, in its own unit.

    The unit is probability for the likeliest tier, cost for ``costs``, a share of the scored users for ``quotas``.
    """
    costs: Costs | None = Field(None, min_length=2)
    """``costs[true][given]``: of giving a tier to a user of a tier; the tier of least expected cost is given."""
    quotas: Quotas | None = Field(None, min_length=1)
    """Each tier's share of the scored users by expected value, from the top; the lowest tier takes the rest."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.costs is not None and self.quotas is not None:
            raise ValueError("costs and quotas are two rules; give one of them, or neither for the likeliest tier")
        if self.costs is None and self.hysteresis_margin > 1:
            raise ValueError("hysteresis_margin is a share unless costs are given; give 0 to 1")
        if self.costs is not None:
            _check_costs(self.costs)
        if self.quotas is not None:
            _check_quotas(self.quotas, self.hysteresis_margin)
        return self


def _check_costs(costs: Costs) -> None:
    for tier, row in costs.items():
        if row.keys() != costs.keys():
            raise ValueError(f"costs.{tier} must name the same tiers as the rows of costs do")


def _check_quotas(quotas: Quotas, margin: float) -> None:
    rest = 1 - sum(quotas.values())
    if rest <= 0:
        raise ValueError("the quotas must sum to less than 1, since the lowest tier takes the rest")
    smallest = min([*quotas.values(), rest])
    if margin >= smallest:
        raise ValueError(f"a hysteresis_margin of {margin:g} keeps users out of a tier of {smallest:g}; make it less")


def check_fits(decision: TierDecision, manifest: Manifest) -> None:
    """Raises ExpectedError when the rule names other tiers than the bundle has, or needs a head that it lacks."""
    bundle, names = f"bundle {manifest.version}", manifest.tiers.names
    filled = filled_columns(manifest.network.heads)
    if decision.costs is not None and decision.costs.keys() != set(names):
        raise ExpectedError(
            f"the costs are of the tiers {_listed(decision.costs)}; {bundle} has {_listed(names)}: name each of these"
        )
    if decision.costs is not None and "tier_probabilities" not in filled:
        raise ExpectedError(f"costs weigh tier probabilities, which {bundle} does not give; use quotas, or neither")
    if decision.quotas is not None and decision.quotas.keys() != set(names[1:]):
        raise ExpectedError(
            f"the quotas are of the tiers {_listed(decision.quotas)}; {bundle} has {_listed(names)}: name each of "
            f"these but the lowest, {names[0]}, which takes the rest"
        )
    if decision.quotas is not None and "expected_value" not in filled:
        raise ExpectedError(f"quotas order users by expected value, which {bundle} does not give; leave them out")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


TIERS_BY_DATE = SCORES_HISTORY.only("user_id", "as_of_date", "ulv_tier", "raw_tier")
"""What ``previous_tiers`` reads."""


def previous_tiers(scores_history: DataFrame) -> DataFrame:
    """user_id, previous_tier and previous_raw_tier on the newest date of ``scores_history`` (dates before as_of)."""
    newest = scores_history.agg(F.max("as_of_date").alias("as_of_date"))
    return scores_history.join(F.broadcast(newest), "as_of_date").select(
        "user_id", F.col("ulv_tier").alias("previous_tier"), F.col("raw_tier").alias("previous_raw_tier")
    )


def assign(
    decided: DataFrame, previous: DataFrame, tiers: TierSpec, platform_scale: float, decision: TierDecision
) -> DataFrame:
    """``decided`` with tier_probabilities as a map by name, raw_tier, previous_tier and ulv_tier.

    ``decided`` has user_id, tier_probabilities ARRAY<DOUBLE> lowest tier first (null without a tier head) and
    expected_value in the warehouse's currency; quotas read it twice. raw_tier is what the rule gives, of equals the
    lowest; without probabilities or quotas it is the tier that expected_value falls into. A previous tier that the
    bundle does not know is reported and otherwise ignored.
    """
    users = decided.join(previous, "user_id", "left")
    if decision.quotas is not None:
        rule = QuotaRule.from_quotas(tiers.names, decision.quotas, decision.hysteresis_margin)
        users, raw, keeps = users.crossJoin(F.broadcast(rule.measure(decided))), rule.raw(), rule.keeps()
    else:
        merits = F.col("tier_probabilities") if decision.costs is None else _savings(tiers, decision.costs)
        raw = F.coalesce(_best(tiers, merits), _by_value(tiers, platform_scale))
        keeps = _advantage(tiers, merits) <= F.lit(decision.hysteresis_margin)
    return (
        users.withColumn("raw_tier", raw)
        .withColumn("ulv_tier", F.when(keeps, F.col("previous_tier")).otherwise(F.col("raw_tier")))
        .withColumn("tier_probabilities", F.map_from_arrays(_names(tiers), F.col("tier_probabilities")))
    )


def _names(tiers: TierSpec) -> Column:
    return F.array(*(F.lit(name) for name in tiers.names))


def _savings(tiers: TierSpec, costs: Costs) -> Column:
    """The negative expected cost of giving each tier, so that the greatest is best, as with probabilities."""
    shares = [F.col("tier_probabilities")[number] for number in range(len(tiers.names))]

    def expected(given: str) -> Column:
        terms = [share * F.lit(-costs[true][given]) for true, share in zip(tiers.names, shares, strict=True)]
        return reduce(add, terms)

    return F.array(*(expected(given) for given in tiers.names))


def _best(tiers: TierSpec, merits: Column) -> Column:
    return F.element_at(_names(tiers), F.array_position(merits, F.array_max(merits)).cast("int"))


def _advantage(tiers: TierSpec, merits: Column) -> Column:
    """By how much raw_tier is better than previous_tier; null where that tier is unknown or absent."""
    by_name = F.map_from_arrays(_names(tiers), merits)
    # `when` takes null as false, so such a user does not keep the tier.
    return F.try_element_at(by_name, F.col("raw_tier")) - F.try_element_at(by_name, F.col("previous_tier"))


def _by_value(tiers: TierSpec, platform_scale: float) -> Column:
    value = F.col("expected_value")
    spend = value if tiers.unit == "currency" else value / F.lit(platform_scale)
    tier = F.when(value.isNotNull(), F.lit(tiers.names[-1]))
    for bound, name in reversed(list(zip(tiers.bounds, tiers.names, strict=False))):
        tier = F.when(spend < F.lit(bound), F.lit(name)).otherwise(tier)
    return tier
