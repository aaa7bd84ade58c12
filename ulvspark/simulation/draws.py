"""Random columns that depend on a row's key alone, so that partitioning and retries change nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

_STEP = 2.0**-53


@dataclass(frozen=True)
class Draws:
    """Draws keyed by (seed, ``what`` is drawn, the row's key columns)."""

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
        """A whole number like Poisson(``mean``) where that is large: normal, rounded at random, and cut off at 0.

        The cut raises small means: of 0.05 it makes 0.12, of 0.2 0.30, of 0.6 0.70, of 1 1.08; from 5 on it adds next
        to nothing.
        """
        spread = mean + F.sqrt(mean) * self.normal(f"{what}/spread", *key)
        return F.greatest(F.lit(0), F.floor(spread + self.uniform(f"{what}/round", *key))).cast("int")

    def below(self, size: int | Column, what: str, *key: Column) -> Column:
        """A whole number in [0, size)."""
        return F.floor(self.uniform(what, *key) * size).cast("int")

    def pick(self, words: Sequence[str], what: str, *key: Column) -> Column:
        """One of ``words``."""
        return F.get(F.array(*map(F.lit, words)), self.below(len(words), what, *key))
