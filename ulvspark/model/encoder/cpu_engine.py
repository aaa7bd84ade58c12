"""Runs the base encoder on the CPU: sorts texts by length, batches them to fit the caches, restores their order."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ulvspark.model.encoder.batching import Tokens, batches, pad
from ulvspark.model.encoder.packed import PackedEncoder, can_pack
from ulvspark.model.encoder.precision import Precision, converted
from ulvspark.model.encoder.text_encoder import TextEncoder

States = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

PACKED_BATCH_TOKENS = 2048
"""Most tokens in a packed batch: more gains nothing on a CPU and costs memory."""


class CpuEngine:
    """Encodes texts on the CPU in one precision. The state of a text does not depend on the texts beside it."""

    def __init__(self, encoder: TextEncoder, precision: Precision = "fp32") -> None:
        """``encoder`` is not changed; its weights are shared where ``precision`` needs no others.

        Raises ExpectedError where the base encoder cannot be served in ``precision``.
        """
        self.precision: Precision = precision
        self.backbone = converted(encoder.backbone, precision).eval()
        self._size, self._pooling = encoder.state_size, encoder.pooling
        self._padded = TextEncoder(self.backbone, encoder.pooling)
        self._packed = PackedEncoder(self.backbone) if can_pack(self.backbone) else None
        self.texts, self.tokens = 0, 0
        """Texts and tokens (without padding) encoded so far."""

    def encode(self, tokens: Tokens, pad_token_id: int) -> States:
        """(n, D): the state of each text."""
        self.texts += len(tokens.input_ids)
        self.tokens += int(tokens.lengths.sum())
        states = np.empty((len(tokens.input_ids), self._size), dtype=np.float32)
        with torch.inference_mode():
            if self._packed is not None:
                for rows in batches(tokens.lengths, PACKED_BATCH_TOKENS):
                    states[rows] = self._encode_packed(self._packed, tokens, rows).numpy()
            else:
                for rows in self._padded_batches(tokens.lengths):
                    states[rows] = self._padded.pooled(**pad(tokens, rows, pad_token_id)).float().numpy()
        return states

    def _padded_batches(self, lengths: Rows) -> Iterator[Rows]:
        for rows in batches(lengths):
            if self.precision == "fp32":
                yield rows
            else:
                # Equal lengths only: in few bits, the rounding of a text's state depends on how far it is padded.
                yield from np.split(rows, np.flatnonzero(np.diff(lengths[rows])) + 1)

    def _encode_packed(self, packed: PackedEncoder, tokens: Tokens, rows: Rows) -> Tensor:
        lengths = [len(tokens.input_ids[row]) for row in rows]
        segments = None if tokens.token_type_ids is None else _flat(tokens.token_type_ids, rows)
        states = packed(_flat(tokens.input_ids, rows), segments, lengths).float()
        return _pool(states, torch.tensor(lengths), self._pooling)


def _flat(ragged: list[list[int]], rows: Rows) -> Tensor:
    return torch.tensor([number for row in rows for number in ragged[row]])


def _pool(states: Tensor, lengths: Tensor, pooling: str) -> Tensor:
    """(N, D) states of texts laid end to end to (n, D), as ``text_encoder.pool`` does for padded ones."""
    if pooling == "mean":
        return torch.segment_reduce(states, "mean", lengths=lengths, axis=0)
    ends = lengths.cumsum(0)
    return states[ends - lengths if pooling == "cls" else ends - 1]
