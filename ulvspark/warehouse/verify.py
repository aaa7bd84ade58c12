"""Scores as they stand in the staging table, checked in one pass before anybody else may read them."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.config import Strict
from ulvspark.contract.errors import RefusedError
from ulvspark.contract.heads import HEADS, columns_of, filled_columns

SUM_TOLERANCE = 1e-6


class VerifyLimits(Strict):
    """What scores must look like to be published; shares are of scored users, min_scored_share of everyone."""

    min_scored_share: float = Field(ge=0, le=1)
    min_tier_share: float = Field(ge=0, le=1)
    max_tier_share: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.min_tier_share > self.max_tier_share:
            raise ValueError("min_tier_share is above max_tier_share")
        return self


def verify(
    scores: DataFrame, users: int, heads: Sequence[str], tier_names: Sequence[str], limits: VerifyLimits
) -> dict[str, float]:
    """Check re-read ``scores``, which should hold each of ``users`` once; returns the shares of scored users and tiers.

    Raises RefusedError naming every check that failed and by how many rows.
    """
    tiered = "ulv_tier" in filled_columns(heads)
    faults = _row_faults(heads)
    found = _measure(scores, faults, tier_names if tiered else ())
    shares = _shares(found, tier_names if tiered else ())
    failures = [
        *_count_failures(found, users),
        *(f"{found[what]:,} rows {what}" for what in faults if found[what]),
        *_share_failures(shares, limits),
    ]
    if failures:
        raise RefusedError(f"scores not published: {'; '.join(failures)}")
    return shares


def _row_faults(heads: Sequence[str]) -> dict[str, Column]:
    """What may be wrong with a row, in words -> the condition for it."""
    scored = F.col("status") == schema.STATUS_SCORED
    faults = {f"lack {name}": F.col(name).isNull() for name in schema.SCORES.required}
    faults |= {f"are scored and lack {name}": scored & F.col(name).isNull() for name in filled_columns(heads)}
    faults["have an unknown status"] = ~F.col("status").isin(schema.STATUS_SCORED, schema.STATUS_NO_HISTORY)
    faults["have a tier without a history"] = ~scored & F.col("ulv_tier").isNotNull()
    for name in columns_of("probability", "share"):
        faults[f"have {name} outside 0 to 1"] = _outside(F.col(name), 1.0)
    for name in columns_of("amount", "count"):
        faults[f"have {name} below 0 or not finite"] = _outside(F.col(name), float("inf"))
    for head in HEADS.values():
        if head.kind == "amount":
            faults |= _interval_faults(*head.columns)
    for name in columns_of("classes"):
        faults |= _probability_faults(name)
    return faults


def _interval_faults(mean: str, median: str, low: str, high: str) -> dict[str, Column]:
    outside = (F.col(low) > F.col(median)) | (F.col(median) > F.col(high))
    return {f"have an interval of {mean} that does not hold the median": outside}


def _probability_faults(name: str) -> dict[str, Column]:
    probabilities = F.map_values(name)
    total = F.aggregate(probabilities, F.lit(0.0), lambda total, probability: total + probability)
    return {
        f"have {name} outside 0 to 1": F.exists(probabilities, lambda probability: _outside(probability, 1.0)),
        f"have {name} that do not sum to 1": F.abs(total - 1.0) > SUM_TOLERANCE,
    }


def _outside(value: Column, high: float) -> Column:
    """Below 0, above ``high``, infinite or not a number (which Spark orders above everything)."""
    return (value < 0) | (value > high) | (value == float("inf")) | F.isnan(value)


def _measure(scores: DataFrame, faults: dict[str, Column], tier_names: Sequence[str]) -> dict[str, int]:
    measures = {
        "rows": F.count(F.lit(1)),
        "users": F.count_distinct("user_id"),
        "scored": F.count_if(F.col("status") == schema.STATUS_SCORED),
        **{name: F.count_if(condition) for name, condition in faults.items()},
        **{_tier_key(name): F.count_if(F.col("ulv_tier") == name) for name in tier_names},
    }
    row = scores.agg(*(measure.alias(f"m{i}") for i, measure in enumerate(measures.values()))).collect()[0]
    return dict(zip(measures, row, strict=True))


def _count_failures(found: dict[str, int], users: int) -> list[str]:
    failures = []
    if found["rows"] != users:
        failures.append(f"{found['rows']:,} rows for {users:,} users")
    if found["users"] != found["rows"]:
        failures.append(f"{found['rows'] - found['users']:,} rows repeat a user")
    return failures


def _tier_key(name: str) -> str:
    return f"tier_share_{name}"


def _shares(found: dict[str, int], tier_names: Sequence[str]) -> dict[str, float]:
    tiers = {_tier_key(name): found[_tier_key(name)] / max(found["scored"], 1) for name in tier_names}
    return {"scored_share": found["scored"] / max(found["rows"], 1), **tiers}


def _share_failures(shares: dict[str, float], limits: VerifyLimits) -> list[str]:
    failures = []
    for name, share in shares.items():
        low, high = limits.min_tier_share, limits.max_tier_share
        if name == "scored_share":
            low, high = limits.min_scored_share, 1.0
        if not low <= share <= high:
            failures.append(f"{name} is {share:.4f}, allowed are {low:g} to {high:g}")
    return failures
