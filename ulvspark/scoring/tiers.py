"""How a score gets its tier: the likeliest one, held steady from date to date by hysteresis. Native Spark."""

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.config import Strict
from ulvspark.contract.spec import TierSpec


class TierDecision(Strict):
    """``conf/tiers.yaml``: how tiers are decided. What the tiers are is frozen in the bundle."""

    hysteresis_margin: float = Field(ge=0, le=1)
    """A user stays in the tier of the date before unless another one's probability is greater by more than this."""


def previous_tiers(scores_history: DataFrame) -> DataFrame:
    """user_id and previous_tier on the newest date in ``scores_history``, which holds only dates before as_of."""
    newest = scores_history.agg(F.max("as_of_date").alias("as_of_date"))
    return scores_history.join(F.broadcast(newest), "as_of_date").select(
        "user_id", F.col("ulv_tier").alias("previous_tier")
    )


def assign(
    decided: DataFrame, previous: DataFrame, tiers: TierSpec, platform_scale: float, decision: TierDecision
) -> DataFrame:
    """``decided`` with tier_probabilities as a map by name, raw_tier, previous_tier and ulv_tier.

    ``decided`` has user_id, tier_probabilities ARRAY<DOUBLE> lowest tier first (null without a tier head) and
    expected_value in the warehouse's currency. raw_tier is the likeliest tier, of equals the lowest; without
    probabilities it is the tier that expected_value falls into. A previous tier that the bundle does not know
    is reported and otherwise ignored.
    """
    raw = F.coalesce(_likeliest(tiers), _by_value(tiers, platform_scale))
    named = F.map_from_arrays(_names(tiers), F.col("tier_probabilities"))
    return (
        decided.withColumns({"raw_tier": raw, "tier_probabilities": named})
        .join(previous, "user_id", "left")
        .withColumn("ulv_tier", _with_hysteresis(decision.hysteresis_margin))
    )


def _names(tiers: TierSpec) -> Column:
    return F.array(*(F.lit(name) for name in tiers.names))


def _likeliest(tiers: TierSpec) -> Column:
    probabilities = F.col("tier_probabilities")
    return F.element_at(_names(tiers), F.array_position(probabilities, F.array_max(probabilities)).cast("int"))


def _by_value(tiers: TierSpec, platform_scale: float) -> Column:
    value = F.col("expected_value")
    spend = value if tiers.unit == "currency" else value / F.lit(platform_scale)
    tier = F.when(value.isNotNull(), F.lit(tiers.names[-1]))
    for bound, name in reversed(list(zip(tiers.bounds, tiers.names, strict=False))):
        tier = F.when(spend < F.lit(bound), F.lit(name)).otherwise(tier)
    return tier


def _with_hysteresis(margin: float) -> Column:
    probabilities, raw, previous = F.col("tier_probabilities"), F.col("raw_tier"), F.col("previous_tier")
    # A lookup of an unknown or absent tier is null, and so is the lead; `when` takes that as "not kept".
    lead = F.try_element_at(probabilities, raw) - F.try_element_at(probabilities, previous)
    return F.when(lead <= F.lit(margin), previous).otherwise(raw)
