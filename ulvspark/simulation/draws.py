"""Random columns that depend only on the key of a row, so partitioning and retries change nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

_STEP = 2.0**-53


@dataclass(frozen=True)
class Draws:
    """Random columns. A value depends on the seed, on ``what`` is drawn, and on the key columns of the row."""

    seed: int

    def uniform(self, what: str, *key: Column) -> Column:
        """A number in (0, 1): the upper 53 bits of a 64-bit hash of the key."""
        hashed = F.xxhash64(F.lit(self.seed), F.lit(what), *key)
        return (F.shiftrightunsigned(hashed, 11).cast("double") + 0.5) * F.lit(_STEP)

    def normal(self, what: str, *key: Column) -> Column:
        """A standard normal number, by the Box-Muller transform."""
        radius = F.sqrt(-2.0 * F.log(self.uniform(f"{what}/radius", *key)))
        return radius * F.cos(2.0 * math.pi * self.uniform(f"{what}/angle", *key))

    def exponential(self, rate: Column, what: str, *key: Column) -> Column:
        """A waiting time with ``rate`` events a unit of time."""
        return -F.log(self.uniform(what, *key)) / rate

    def count(self, mean: Column, what: str, *key: Column) -> Column:
        """A whole number, near Poisson(``mean``) where the mean is large: a normal one, rounded at random, at least 0.

        The bound at 0 raises small means: 0.05 becomes 0.12, 0.2 becomes 0.30, 0.6 becomes 0.70 and 1 becomes 1.08;
        means of 5 or more hardly change.
        """
        spread = mean + F.sqrt(mean) * self.normal(f"{what}/spread", *key)
        return F.greatest(F.lit(0), F.floor(spread + self.uniform(f"{what}/round", *key))).cast("int")

    def below(self, size: int | Column, what: str, *key: Column) -> Column:
        """A whole number in [0, size)."""
        return F.floor(self.uniform(what, *key) * size).cast("int")

    def pick(self, words: Sequence[str], what: str, *key: Column) -> Column:
        """One of ``words``."""
        return F.get(F.array(*map(F.lit, words)), self.below(len(words), what, *key))
