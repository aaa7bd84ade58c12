"""Tiers by quota: the users of greatest expected value get the highest tier, the next the tier below, and so on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, pairwise
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.history.behaviour import POPULATION_SAMPLE, hash_sample

CUTS = "quota_cuts"

QUOTA_SAMPLE = POPULATION_SAMPLE
"""Users whose values stand for everyone's: of a larger platform, a tier's share is then off by .001 or less (one
standard deviation)."""


@dataclass(frozen=True)
class QuotaRule:
    """Who gets which tier. A share counts from the top: 0.1 is the tenth of scored users with the greatest value."""

    names: tuple[str, ...]
    """Lowest tier first."""
    tops: tuple[float, ...]
    """``tops[i]`` is the share in tier i or a higher one; from 1 for the lowest down to 0 beyond the highest."""
    margin: float
    """A user keeps a tier while no further than this share outside it."""

    @classmethod
    def from_quotas(cls, names: tuple[str, ...], quotas: Mapping[str, float], margin: float) -> "QuotaRule":
        """The rule for ``quotas``, which name every tier but the lowest."""
        from_the_top = list(accumulate((quotas[name] for name in reversed(names[1:])), initial=0.0))
        return cls(names, (1.0, *reversed(from_the_top)), margin)

    def measure(self, decided: DataFrame) -> DataFrame:
        """One row: the expected values above which the shares begin that the rule asks about.

        They are quantiles of ``QUOTA_SAMPLE`` users at most, chosen by a hash, since exact quantiles of everyone are
        computed in one task. Users of equal value are never told apart, so a tier can hold fewer than its quota.
        """
        valued = decided.where(F.col("expected_value").isNotNull())
        below = F.array(*(F.lit(1 - share) for share in self._shares()))
        sample = hash_sample(valued, valued.count(), QUOTA_SAMPLE)
        return sample.agg(F.percentile("expected_value", below).alias(CUTS))

    def raw(self) -> Column:
        """The tier of a user of ``decided`` joined with ``measure``; null without an expected value."""
        tier = F.when(F.col("expected_value").isNotNull(), F.lit(self.names[0]))
        for name, top in zip(self.names[1:], self.tops[1:], strict=False):
            tier = F.when(self._among(top), F.lit(name)).otherwise(tier)
        return tier

    def keeps(self) -> Column:
        """Whether a user stays in previous_tier."""
        bands = zip(self.names, pairwise(self.tops), strict=True)
        stays = [
            (F.col("previous_tier") == name) & self._among(top + self.margin) & ~self._among(above - self.margin)
            for name, (top, above) in bands
        ]
        return F.col("expected_value").isNotNull() & reduce(or_, stays)

    def _among(self, share: float) -> Column:
        if not 0 < share < 1:
            return F.lit(share > 0)
        return F.col("expected_value") > F.col(CUTS)[self._shares().index(share)]

    def _shares(self) -> tuple[float, ...]:
        around = (top + side for top in self.tops for side in (0.0, self.margin, -self.margin))
        return tuple(dict.fromkeys(share for share in around if 0 < share < 1))
