"""Check staged scores before they are published: complete, in range, and with plausible shares of tiers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.config import Strict
from ulvspark.contract.heads import HEADS, columns_of, filled_columns

SUM_TOLERANCE = 1e-6


class VerifyLimits(Strict):
    """Limits for scores to be published. min_scored_share is of all users, tier shares are of scored users."""

    min_scored_share: float = Field(ge=0, le=1)
    min_tier_share: float = Field(ge=0, le=1)
    max_tier_share: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.min_tier_share > self.max_tier_share:
            raise ValueError("min_tier_share is above max_tier_share")
        return self


@dataclass(frozen=True)
class Verification:
    """What was measured of staged scores, and why they must not be published."""

    shares: dict[str, float]
    """``scored_share`` and, for each tier, ``tier_share_TIER``."""
    failures: list[str]
    """Every check that failed, with its number of rows, or the share and its limits."""


def verify(
    scores: DataFrame, users: int, heads: Sequence[str], tier_names: Sequence[str], limits: VerifyLimits
) -> Verification:
    """Check ``scores``, read back from the staging table.

    ``users`` is how many users there should be, each once. ``heads`` are those of the bundle.
    """
    tiered = "ulv_tier" in filled_columns(heads)
    faults = _row_faults(heads)
    counts = _count(scores, faults, tier_names if tiered else ())
    shares = _shares(counts, tier_names if tiered else ())
    failures = [
        *_row_failures(counts, users),
        *(f"{counts[fault]:,} rows {fault}" for fault in faults if counts[fault]),
        *_share_failures(shares, limits),
    ]
    return Verification(shares, failures)


def _row_faults(heads: Sequence[str]) -> dict[str, Column]:
    """What can be wrong with a row, in words, and the condition under which it is."""
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
    """Below 0, above ``high``, infinite or NaN (which Spark orders above every number)."""
    return (value < 0) | (value > high) | (value == float("inf")) | F.isnan(value)


def _count(scores: DataFrame, faults: dict[str, Column], tier_names: Sequence[str]) -> dict[str, int]:
    counts = {
        "rows": F.count(F.lit(1)),
        "users": F.count_distinct("user_id"),
        "scored": F.count_if(F.col("status") == schema.STATUS_SCORED),
        **{name: F.count_if(condition) for name, condition in faults.items()},
        **{_tier_key(name): F.count_if(F.col("ulv_tier") == name) for name in tier_names},
    }
    row = scores.agg(*(count.alias(f"count_{i}") for i, count in enumerate(counts.values()))).collect()[0]
    return dict(zip(counts, row, strict=True))


def _row_failures(counts: dict[str, int], users: int) -> list[str]:
    failures = []
    if counts["rows"] != users:
        failures.append(f"{counts['rows']:,} rows for {users:,} users")
    if counts["users"] != counts["rows"]:
        failures.append(f"{counts['rows'] - counts['users']:,} rows repeat a user")
    return failures


def _tier_key(name: str) -> str:
    return f"tier_share_{name}"


def _shares(counts: dict[str, int], tier_names: Sequence[str]) -> dict[str, float]:
    tiers = {_tier_key(name): counts[_tier_key(name)] / max(counts["scored"], 1) for name in tier_names}
    return {"scored_share": counts["scored"] / max(counts["rows"], 1), **tiers}


def _share_failures(shares: dict[str, float], limits: VerifyLimits) -> list[str]:
    failures = []
    for name, share in shares.items():
        low, high = limits.min_tier_share, limits.max_tier_share
        if name == "scored_share":
            low, high = limits.min_scored_share, 1.0
        if not low <= share <= high:
            failures.append(f"{name} is {share:.4f}, allowed are {low:g} to {high:g}")
    return failures
