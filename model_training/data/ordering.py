"""The order in which rows are trained on: random, in batches of similar length, and the same in every run."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn
from torch.utils.data import Sampler
from transformers import Trainer

Numbers = npt.NDArray[np.int64]

MEGABATCH = 50
"""Rows are sorted by length within so many batches: enough to save padding, few enough to stay random."""


class OrderedTrainer(Trainer):
    """Trainer that takes its rows in the order of ``LengthGrouped``; ``lengths`` (n,) are those of the rows' texts."""

    def __init__(self, network: nn.Module, lengths: Numbers, batch_size: int, **rest: Any) -> None:  # noqa: ANN401
        self._lengths, self._rows_per_step = lengths, batch_size
        super().__init__(network, **rest)

    def _get_train_sampler(self, train_dataset: object = None) -> "LengthGrouped":
        return LengthGrouped(self._lengths, self._rows_per_step, self.args.seed)


class LengthGrouped(Sampler[int]):
    """Numbers of rows in random order, with texts of similar length in each batch; seed and epoch decide the order."""

    def __init__(self, lengths: Numbers, batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed, self._epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Trainer calls this when an epoch begins, also when it goes on from a checkpoint."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self._seed, self._epoch))
        order = random.permutation(len(self._lengths))
        size = self._batch_size * MEGABATCH
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        ordered = np.concatenate([group[np.argsort(-self._lengths[group], kind="stable")] for group in groups])
        yield from _shuffle_batches(ordered, self._batch_size, random).tolist()


def _shuffle_batches(order: Numbers, batch_size: int, random: np.random.Generator) -> Numbers:
    """The batches of ``order`` in random order; the rows that fill no batch stay at the end."""
    whole = len(order) // batch_size * batch_size
    batches = order[:whole].reshape(-1, batch_size)
    return np.concatenate([random.permutation(batches).ravel(), order[whole:]])
