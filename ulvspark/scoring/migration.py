"""How users moved between tiers from one date to the next, with hysteresis and without."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import DataFrame

TIER_COLUMNS = ["previous_tier", "previous_raw_tier", "ulv_tier", "raw_tier"]
NO_TIER = "no tier"


@dataclass(frozen=True)
class Migration:
    """Numbers of users by the tiers they had and have."""

    moves: pd.DataFrame
    """A row for each combination of ``TIER_COLUMNS`` that occurs (null: no tier), and its ``users``."""

    def matrix(self, names: Sequence[str]) -> pd.DataFrame:
        """Users by the tier they had (rows) and have (columns).

        The bundle's tiers ``names`` come first, then those of another bundle, then "no tier".
        """
        moves = self.moves.fillna({"previous_tier": NO_TIER, "ulv_tier": NO_TIER})
        counts = moves.pivot_table("users", "previous_tier", "ulv_tier", aggfunc="sum")
        rows, columns = (_in_order(names, labels) for labels in (counts.index, counts.columns))
        return counts.reindex(index=rows, columns=columns).fillna(0).astype(int)

    def counts(self) -> dict[str, int]:
        """``tier_LOW_to_HIGH``: users who had a tier and have one, by both."""
        moves = self.moves.dropna(subset=["previous_tier", "ulv_tier"])
        names = "tier_" + moves["previous_tier"] + "_to_" + moves["ulv_tier"]
        return {str(name): int(number) for name, number in moves["users"].groupby(names).sum().items()}

    def metrics(self) -> dict[str, float]:
        """tier_stability: the share of users with a tier on both dates who kept it; empty without such users.

        tier_stability_without_hysteresis is the same for the tiers that the rule alone gave on the two dates.
        """
        shares = {
            "tier_stability": self._share_unchanged("previous_tier", "ulv_tier"),
            "tier_stability_without_hysteresis": self._share_unchanged("previous_raw_tier", "raw_tier"),
        }
        return {name: share for name, share in shares.items() if share is not None}

    def _share_unchanged(self, before: str, now: str) -> float | None:
        moves = self.moves.dropna(subset=[before, now])
        unchanged = moves.loc[moves[before] == moves[now], "users"].sum()
        return None if moves.empty else float(unchanged / moves["users"].sum())


def migrate(scores: DataFrame, previous: DataFrame) -> Migration:
    """Compare ``scores`` with the tiers of an earlier date (see ``tiers.previous_tiers``).

    Only numbers of users by tier come to the driver.
    """
    both = scores.select("user_id", "ulv_tier", "raw_tier").join(previous, "user_id", "left")
    return Migration(both.groupBy(*TIER_COLUMNS).count().withColumnRenamed("count", "users").toPandas())


def _in_order(names: Sequence[str], labels: pd.Index) -> list[str]:
    others = sorted({*labels} - {*names, NO_TIER})
    return [*names, *others, *(label for label in [NO_TIER] if label in labels)]
