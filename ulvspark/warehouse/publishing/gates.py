"""Gates before publishing: is tonight like the night before, and are the events fresh?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.config import Strict


class ChangeLimits(Strict):
    """How far a night may differ from the night before. Shares are compared by their difference."""

    users: float = Field(gt=0)
    """Share of the night before by which the number of users may change."""
    scored_share: float = Field(gt=0, le=1)
    tier_share: float = Field(gt=0, le=1)
    expected_value: float = Field(gt=0)
    """Share of the night before by which the total expected value may change."""


class GateConfig(Strict):
    """``gates`` in ``conf/score.yaml``."""

    change: ChangeLimits
    change_of_model: ChangeLimits
    """In place of ``change`` where the night before was scored by another version of the model."""
    max_event_age_days: int = Field(ge=1)
    """How old the newest event before ``as_of`` may be."""


@dataclass(frozen=True)
class NightFigures:
    """What a night's scores are like as a whole."""

    as_of: date
    model_version: str
    horizon_days: int
    users: int
    scored: int
    tiers: Mapping[str, int]
    """Users by tier."""
    expected_value: float | None
    """The total; None where the bundle does not predict it."""

    @property
    def scored_share(self) -> float:
        return self.scored / max(self.users, 1)

    def tier_share(self, tier: str) -> float:
        """Of the scored users."""
        return self.tiers.get(tier, 0) / max(self.scored, 1)


def figures(scores: DataFrame, as_of: date) -> NightFigures:
    """The figures of ``scores``, which are those of ``as_of``."""
    scored = F.col("status") == schema.STATUS_SCORED
    by_tier = scores.groupBy("ulv_tier").agg(
        F.max("model_version").alias("model_version"),
        F.max("horizon_days").alias("horizon_days"),
        F.count("*").alias("users"),
        F.count_if(scored).alias("scored"),
        F.sum("expected_value").alias("value"),
    )
    rows = by_tier.collect()
    totals = [row.value for row in rows if row.value is not None]
    return NightFigures(
        as_of=as_of,
        model_version=max((row.model_version for row in rows), default=""),
        horizon_days=max((row.horizon_days for row in rows), default=0),
        users=sum(row.users for row in rows),
        scored=sum(row.scored for row in rows),
        tiers={row.ulv_tier: row.users for row in rows if row.ulv_tier is not None},
        expected_value=sum(totals) if totals else None,
    )


def night_before(history: DataFrame, as_of: date) -> NightFigures | None:
    """The figures of the latest date before ``as_of`` in ``history``; None for a first night."""
    before = history.where(F.col("as_of_date") < F.lit(as_of))
    [(latest,)] = before.agg(F.max("as_of_date")).collect()
    return None if latest is None else figures(before.where(F.col("as_of_date") == F.lit(latest)), latest)


def failed_gates(
    tonight: NightFigures, before: NightFigures | None, newest_event: date | None, config: GateConfig
) -> list[str]:
    """A sentence for each gate that says no, with both figures and the limit; empty where all let the night pass."""
    stale = _stale_events(tonight.as_of, newest_event, config.max_event_age_days)
    if before is None:
        return stale
    same_model = tonight.model_version == before.model_version
    return [*_changes(tonight, before, config.change if same_model else config.change_of_model), *stale]


def _changes(tonight: NightFigures, before: NightFigures, limits: ChangeLimits) -> list[str]:
    date_before = before.as_of
    failures = [
        _relative("users", tonight.users, before.users, limits.users, date_before),
        _difference("scored_share", tonight.scored_share, before.scored_share, limits.scored_share, date_before),
    ]
    if tonight.tiers.keys() & before.tiers.keys():
        # Another model may have other tiers, of which nothing can be said.
        failures += [
            _difference(
                f"tier_share_{tier}", tonight.tier_share(tier), before.tier_share(tier), limits.tier_share, date_before
            )
            for tier in sorted({*tonight.tiers, *before.tiers})
        ]
    now, then = tonight.expected_value, before.expected_value
    if now is not None and then is not None and tonight.horizon_days == before.horizon_days:
        failures.append(_relative("total expected_value", now, then, limits.expected_value, date_before))
    return [failure for failure in failures if failure is not None]


def _relative(what: str, now: float, before: float, limit: float, date_before: date) -> str | None:
    if abs(now - before) <= limit * abs(before):
        return None
    return f"{what}: {now:,.0f} after {before:,.0f} on {date_before}, allowed is a change of {limit:.0%}"


def _difference(what: str, now: float, before: float, limit: float, date_before: date) -> str | None:
    if abs(now - before) <= limit:
        return None
    return f"{what}: {now:.4f} after {before:.4f} on {date_before}, allowed is a difference of {limit:g}"


def _stale_events(as_of: date, newest: date | None, limit: int) -> list[str]:
    if newest is None:
        return [f"there is no event before {as_of}"]
    age = (as_of - newest).days
    return [] if age <= limit else [f"the newest event before {as_of} is of {newest}, {age} days old, allowed {limit}"]
