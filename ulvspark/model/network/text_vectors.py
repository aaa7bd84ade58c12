"""What the base encoder made of texts, found by key."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ulvspark.model.network.event_arrays import Events, Ints

States = npt.NDArray[np.float16]


@dataclass(frozen=True)
class TextVectors:
    """States of m texts; both arrays may be memory-mapped files."""

    keys: Ints
    """(m,), rising."""
    states: States
    """(m, D)."""

    @classmethod
    def from_unsorted(cls, keys: Ints, states: States) -> Self:
        """From keys in any order, each once."""
        order = np.argsort(keys)
        return cls(keys[order], states[order])

    def place(self, events: Events) -> Events:
        """The same events with numbers from 1 among these texts instead of keys."""
        return events.with_texts(places(self.keys, events.product), places(self.keys, events.text))


def places(known: Ints, keys: Ints) -> Ints:
    """(e,) number from 1 of each of ``keys`` among the rising ``known``; 0 for key 0, which is no text.

    Raises KeyError for a key that is not known.
    """
    found = np.searchsorted(known, keys)
    there = np.append(known, 0)[found] == keys
    if not (there | (keys == 0)).all():
        raise KeyError(f"no vector of text {keys[~there & (keys != 0)][0]}")
    return np.where(keys == 0, 0, found + 1)
