"""Texts of any number through the base encoder on an NVIDIA GPU: in buckets of equal length, order restored."""

import copy
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ulvspark.model.encoder.backbone import max_positions
from ulvspark.model.encoder.batching import Tokens, pad
from ulvspark.model.encoder.cpu_engine import Rows, States
from ulvspark.model.encoder.precision import converted
from ulvspark.model.encoder.text_encoder import TextReader, pool

BUCKET = 8
"""Texts are padded to a multiple of this: tensor cores want one, and few lengths make large batches."""

TOKENS = 2**16
"""In a batch, padding among them: enough to keep a large GPU busy."""

GpuPrecision = Literal["fp32", "bf16"]
"""Of int8 GPUs gain little here."""


class GpuEngine:
    """A base encoder at work on a GPU, in float32 or 16 bits.

    A text is padded by its own length alone, so its state does not depend on how long those are that it is read with.
    """

    def __init__(self, encoder: TextReader, precision: GpuPrecision, device: torch.device) -> None:
        """``encoder`` stays as it is."""
        self.precision: GpuPrecision = precision
        moved = copy.deepcopy(converted(encoder.backbone, precision))
        self.backbone = moved.to(device, _dtype(self.precision, device)).eval()
        self._device, self._size = device, encoder.state_size
        self._pooling = encoder.pooling
        self._longest = max_positions(encoder.backbone)
        self.tokens = 0
        """Read so far, padding not counted."""

    def read(self, tokens: Tokens, pad_token_id: int) -> States:
        """(n, D): the state of each text."""
        self.tokens += int(tokens.lengths.sum())
        states = np.empty((len(tokens.input_ids), self._size), dtype=np.float32)
        with torch.inference_mode():
            # None is waited for before all are sent: while one is computed, the next are padded.
            sent = [
                (rows, self._send(_padded(tokens, rows, length, pad_token_id)))
                for rows, length in buckets(tokens.lengths, self._longest)
            ]
            for rows, found in sent:
                states[rows] = found.cpu().numpy()
        return states

    def _send(self, inputs: dict[str, Tensor]) -> Tensor:
        """States, perhaps not computed yet."""
        if self._device.type == "cuda":
            inputs = {name: each.pin_memory().to(self._device, non_blocking=True) for name, each in inputs.items()}
        states: Tensor = self.backbone(**inputs).last_hidden_state
        # Sums of many tokens, which 16 bits would round.
        return pool(states.float(), inputs["attention_mask"], self._pooling)


def buckets(lengths: Rows, longest: int | None) -> Iterator[tuple[Rows, int]]:
    """Rows that are padded to the same length, the longest first, no more of them than ``TOKENS`` allows.

    ``longest`` is the most that the base encoder reads; None where it states no limit.
    """
    padded = -(-lengths.clip(1) // BUCKET) * BUCKET
    padded = padded if longest is None else padded.clip(max=longest)
    for length in np.unique(padded)[::-1]:
        rows, size = np.flatnonzero(padded == length), max(TOKENS // int(length), 1)
        yield from ((rows[start : start + size], int(length)) for start in range(0, len(rows), size))


def _padded(tokens: Tokens, rows: Rows, length: int, pad_token_id: int) -> dict[str, Tensor]:
    fill = {"input_ids": pad_token_id}
    return {
        name: F.pad(each, (0, length - each.shape[1]), value=fill.get(name, 0))
        for name, each in pad(tokens, rows, pad_token_id).items()
    }


def _dtype(precision: GpuPrecision, device: torch.device) -> torch.dtype:
    if precision == "fp32":
        return torch.float32
    # GPUs before Ampere are fast in float16 alone.
    old = device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)
    return torch.float16 if old else torch.bfloat16
