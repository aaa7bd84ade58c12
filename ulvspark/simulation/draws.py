"""Random numbers by name: each depends on the seed, on what is drawn and on its keys, and on nothing else.

So the same user does the same things whatever the size of a block, the number of cores, the day on which the
simulation ends and the features that are switched on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_STEP = 2.0**-53


@dataclass(frozen=True)
class Draws:
    """Random arrays. Keys are arrays of whole numbers that broadcast against one another."""

    seed: int

    def hashes(self, what: str, *keys: Any) -> NDArray[np.uint64]:  # noqa: ANN401 - numbers and arrays of them
        """64 random bits for each combination of keys, by the finaliser of SplitMix64 (Steele et al., 2014)."""
        name = blake2b(f"{self.seed}/{what}".encode(), digest_size=8).digest()
        state = np.frombuffer(name, np.uint64)
        with np.errstate(over="ignore"):
            for key in keys:
                state = _mixed(state ^ (np.asarray(key, np.int64).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)))
        return state

    def uniform(self, what: str, *keys: Any) -> Floats:  # noqa: ANN401
        """Numbers in (0, 1)."""
        return ((self.hashes(what, *keys) >> np.uint64(11)).astype(np.float64) + 0.5) * _STEP

    def normal(self, what: str, *keys: Any) -> Floats:  # noqa: ANN401
        """Standard normal numbers, by the Box-Muller transform."""
        radius = np.sqrt(-2.0 * np.log(self.uniform(f"{what}/radius", *keys)))
        return radius * np.cos(2.0 * np.pi * self.uniform(f"{what}/angle", *keys))

    def exponential(self, what: str, *keys: Any) -> Floats:  # noqa: ANN401
        """Waiting times with a mean of 1."""
        return -np.log(self.uniform(what, *keys))

    def below(self, size: Any, what: str, *keys: Any) -> Ints:  # noqa: ANN401
        """Whole numbers in [0, size)."""
        places: Ints = (self.uniform(what, *keys) * size).astype(np.int64)
        return places

    def choice(self, shares: Sequence[float], what: str, *keys: Any) -> Ints:  # noqa: ANN401
        """Whole numbers of which number k has probability ``shares[k]``."""
        places: Ints = np.searchsorted(np.cumsum(shares)[:-1], self.uniform(what, *keys), side="right").astype(np.int64)
        return places

    def zipf(self, size: int, exponent: float, what: str, *keys: Any) -> Ints:  # noqa: ANN401
        """Ranks in [0, size), rank k with a probability in proportion to (k + 1) ** -exponent (Zipf's law)."""
        return self.choice(zipf_shares(size, exponent), what, *keys)


def zipf_shares(size: int, exponent: float) -> Sequence[float]:
    """The probability of each rank under Zipf's law."""
    weights = np.arange(1, size + 1, dtype=np.float64) ** -exponent
    shares: list[float] = (weights / weights.sum()).tolist()
    return shares


def poisson_thresholds(mean: float, most: int) -> Floats:
    """Of a Poisson distribution, the chance of k or fewer for k below ``most``: for ``np.searchsorted``."""
    terms = np.cumprod(np.concatenate([[np.exp(-mean)], mean / np.arange(1, most)]))
    return np.cumsum(terms)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state ^= state >> np.uint64(30)
    state *= np.uint64(0xBF58476D1CE4E5B9)
    state ^= state >> np.uint64(27)
    state *= np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return state
