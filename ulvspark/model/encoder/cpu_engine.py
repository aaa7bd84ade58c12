"""Texts of any number through the base encoder: sorted by length, in batches that fit the caches, order restored."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ulvspark.model.encoder.batching import Tokens, batches, pad
from ulvspark.model.encoder.packed import PackedEncoder, can_pack
from ulvspark.model.encoder.precision import Precision, converted
from ulvspark.model.encoder.text_encoder import TextReader

States = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

TOKENS = 2048
"""In a packed batch: more gains nothing on a CPU and costs memory."""


class Engine:
    """A base encoder at work in one precision. The state of a text is the same whatever it is read with."""

    def __init__(self, encoder: TextReader, precision: Precision = "fp32") -> None:
        """``encoder`` stays as it is; its weights are shared where ``precision`` needs no others.

        Raises ExpectedError where the base encoder cannot be served in ``precision``.
        """
        self.precision: Precision = precision
        self.backbone = converted(encoder.backbone, precision).eval()
        self._size, self._pooling = encoder.state_size, encoder.pooling
        self._padded = TextReader(self.backbone, encoder.pooling)
        self._packed = PackedEncoder(self.backbone) if can_pack(self.backbone) else None
        self.tokens = 0
        """Read so far, padding not counted."""

    def read(self, tokens: Tokens, pad_token_id: int) -> States:
        """(n, D): the state of each text."""
        self.tokens += int(tokens.lengths.sum())
        states = np.empty((len(tokens.input_ids), self._size), dtype=np.float32)
        with torch.inference_mode():
            if self._packed is not None:
                for rows in batches(tokens.lengths, TOKENS):
                    states[rows] = self._read_packed(self._packed, tokens, rows).numpy()
            else:
                for rows in self._padded_batches(tokens.lengths):
                    states[rows] = self._padded.pooled(**pad(tokens, rows, pad_token_id)).float().numpy()
        return states

    def _padded_batches(self, lengths: Rows) -> Iterator[Rows]:
        for rows in batches(lengths):
            if self.precision == "fp32":
                yield rows
            else:
                # Rounded to few bits, a text's state would move with how far it is padded.
                yield from np.split(rows, np.flatnonzero(np.diff(lengths[rows])) + 1)

    def _read_packed(self, packed: PackedEncoder, tokens: Tokens, rows: Rows) -> Tensor:
        lengths = [len(tokens.input_ids[row]) for row in rows]
        segments = None if tokens.token_type_ids is None else _flat(tokens.token_type_ids, rows)
        states = packed(_flat(tokens.input_ids, rows), segments, lengths).float()
        return _pool(states, torch.tensor(lengths), self._pooling)


def _flat(ragged: list[list[int]], rows: Rows) -> Tensor:
    return torch.tensor([number for row in rows for number in ragged[row]])


def _pool(states: Tensor, lengths: Tensor, pooling: str) -> Tensor:
    """(N, D) states of texts laid end to end to (n, D), as ``text_reader.pool`` does of padded ones."""
    if pooling == "mean":
        return torch.segment_reduce(states, "mean", lengths=lengths, axis=0)
    ends = lengths.cumsum(0)
    return states[ends - lengths if pooling == "cls" else ends - 1]
