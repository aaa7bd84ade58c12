"""The order in which rows are trained on: random, in batches of similar length, the same whenever it is run."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn
from torch.utils.data import Sampler
from transformers import Trainer

Numbers = npt.NDArray[np.int64]

MEGABATCH = 50
"""Batches among which rows are sorted by length: enough to save padding, few enough to stay random."""


class OrderedTrainer(Trainer):
    """Trainer that takes its rows in the order of ``LengthGrouped``."""

    def __init__(self, network: nn.Module, lengths: Numbers, batch_size: int, **rest: Any) -> None:  # noqa: ANN401
        self._lengths, self._rows_a_step = lengths, batch_size
        super().__init__(network, **rest)

    def _get_train_sampler(self, train_dataset: object = None) -> "LengthGrouped":
        return LengthGrouped(self._lengths, self._rows_a_step, self.args.seed)


class LengthGrouped(Sampler[int]):
    """Rows in random order, but batches of similar length; the same order in an epoch whenever it is run."""

    def __init__(self, lengths: Numbers, batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed, self._epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Trainer says which epoch begins, also when it goes on from a checkpoint."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        dice = np.random.default_rng((self._seed, self._epoch))
        order = dice.permutation(len(self._lengths))
        size = self._batch_size * MEGABATCH
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        ordered = np.concatenate([group[np.argsort(-self._lengths[group], kind="stable")] for group in groups])
        yield from _shuffled_batches(ordered, self._batch_size, dice).tolist()


def _shuffled_batches(order: Numbers, batch_size: int, dice: np.random.Generator) -> Numbers:
    whole = len(order) // batch_size * batch_size
    batches = order[:whole].reshape(-1, batch_size)
    return np.concatenate([dice.permutation(batches).ravel(), order[whole:]])
