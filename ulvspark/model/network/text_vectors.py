"""Vectors that the base encoder made of texts, found by the key of the text."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ulvspark.model.network.event_arrays import Events, Ints

States = npt.NDArray[np.float16]


@dataclass(frozen=True)
class TextVectors:
    """The pooled states of m texts; both arrays may be memory-mapped files."""

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
        """The same events with places among these texts, from 1, instead of keys."""
        return events.with_texts(places(self.keys, events.product), places(self.keys, events.text))


def places(known: Ints, keys: Ints) -> Ints:
    """(e,) place, from 1, of each of ``keys`` among the rising ``known``; 0 for key 0, which is no text.

    Raises KeyError for a key that is not known.
    """
    positions = np.searchsorted(known, keys)
    is_there = np.append(known, 0)[positions] == keys
    if not (is_there | (keys == 0)).all():
        raise KeyError(f"no vector of text {keys[~is_there & (keys != 0)][0]}")
    return np.where(keys == 0, 0, positions + 1)
