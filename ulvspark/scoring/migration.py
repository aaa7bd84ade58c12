"""Who moved between tiers from one date to the next, with hysteresis and without. Native Spark."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import DataFrame

TIERS = ["previous_tier", "previous_raw_tier", "ulv_tier", "raw_tier"]
NO_TIER = "no tier"


@dataclass(frozen=True)
class Migration:
    """How many users of a date had and have which tier."""

    moves: pd.DataFrame
    """``TIERS`` and users: a row each combination of tiers that occurs, null where there was none."""

    def matrix(self, names: Sequence[str]) -> pd.DataFrame:
        """Users by the tier they had (rows) and have (columns): ``names``, then those of another bundle, then none."""
        filled = self.moves.fillna({"previous_tier": NO_TIER, "ulv_tier": NO_TIER})
        counts = filled.pivot_table("users", "previous_tier", "ulv_tier", aggfunc="sum")
        rows, columns = (_ordered(names, found) for found in (counts.index, counts.columns))
        return counts.reindex(index=rows, columns=columns).fillna(0).astype(int)

    def counts(self) -> dict[str, int]:
        """``tier_LOW_to_HIGH``: the users with tiers on both dates who had the one and have the other."""
        known = self.moves.dropna(subset=["previous_tier", "ulv_tier"])
        names = "tier_" + known["previous_tier"] + "_to_" + known["ulv_tier"]
        return {str(name): int(number) for name, number in known["users"].groupby(names).sum().items()}

    def metrics(self) -> dict[str, float]:
        """Tier stability: the share of the users with tiers on both dates who kept theirs; empty without such users.

        ``tier_stability_without_hysteresis`` compares what the rule alone gave on either date.
        """
        with_and_without = {
            "tier_stability": self._alike("previous_tier", "ulv_tier"),
            "tier_stability_without_hysteresis": self._alike("previous_raw_tier", "raw_tier"),
        }
        return {name: share for name, share in with_and_without.items() if share is not None}

    def _alike(self, before: str, now: str) -> float | None:
        known = self.moves.dropna(subset=[before, now])
        same = known.loc[known[before] == known[now], "users"].sum()
        return None if known.empty else float(same / known["users"].sum())


def migrate(scores: DataFrame, previous: DataFrame) -> Migration:
    """From ``previous``, as of ``tiers.previous_tiers``, to ``scores`` of a later date. Gathers only counts by tier."""
    tiers = scores.select("user_id", "ulv_tier", "raw_tier").join(previous, "user_id", "left")
    return Migration(tiers.groupBy(*TIERS).count().withColumnRenamed("count", "users").toPandas())


def _ordered(names: Sequence[str], found: pd.Index) -> list[str]:
    others = sorted({*found} - {*names, NO_TIER})
    return [*names, *others, *(name for name in [NO_TIER] if name in found)]
