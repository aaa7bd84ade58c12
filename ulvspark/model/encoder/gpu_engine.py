"""Runs the base encoder on an NVIDIA GPU: pads texts to a few common lengths, restores their order."""

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
from ulvspark.model.encoder.text_encoder import TextEncoder, pool

PADDED_TO_MULTIPLE_OF = 8
"""Tensor cores want lengths that are a multiple of this, and few different lengths make large batches."""

GPU_BATCH_TOKENS = 2**16
"""Most tokens in a batch, padding included: enough to keep a large GPU busy."""

GpuPrecision = Literal["fp32", "bf16"]
"""int8 is left out, since it gains little on GPUs here."""


class GpuEngine:
    """Encodes texts on a GPU, in float32 or 16 bits.

    How far a text is padded depends on its own length alone, so its state does not depend on the texts beside it.
    """

    def __init__(self, encoder: TextEncoder, precision: GpuPrecision, device: torch.device) -> None:
        """``encoder`` is not changed."""
        self.precision: GpuPrecision = precision
        moved = copy.deepcopy(converted(encoder.backbone, precision))
        self.backbone = moved.to(device, _dtype(self.precision, device)).eval()
        self._device, self._size = device, encoder.state_size
        self._pooling = encoder.pooling
        self._longest = max_positions(encoder.backbone)
        self.texts, self.tokens = 0, 0
        """Texts and tokens (without padding) encoded so far."""

    def encode(self, tokens: Tokens, pad_token_id: int) -> States:
        """(n, D): the state of each text."""
        self.texts += len(tokens.input_ids)
        self.tokens += int(tokens.lengths.sum())
        states = np.empty((len(tokens.input_ids), self._size), dtype=np.float32)
        with torch.inference_mode():
            # Send all batches before waiting for the first result: while the GPU computes one, the next is padded.
            sent = [
                (rows, self._send(_padded(tokens, rows, length, pad_token_id)))
                for rows, length in equal_length_batches(tokens.lengths, self._longest)
            ]
            for rows, computed in sent:
                states[rows] = computed.cpu().numpy()
        return states

    def _send(self, inputs: dict[str, Tensor]) -> Tensor:
        """The states of a batch; the GPU may still be computing them."""
        if self._device.type == "cuda":
            inputs = {name: each.pin_memory().to(self._device, non_blocking=True) for name, each in inputs.items()}
        states: Tensor = self.backbone(**inputs).last_hidden_state
        # In float32, since pooling adds up many tokens, which 16 bits would round.
        return pool(states.float(), inputs["attention_mask"], self._pooling)


def equal_length_batches(lengths: Rows, longest: int | None) -> Iterator[tuple[Rows, int]]:
    """Rows that are padded to the same length, and that length; longest first, within ``GPU_BATCH_TOKENS``.

    ``longest`` is the longest text that the base encoder reads; None where it states no limit.
    """
    padded = -(-lengths.clip(1) // PADDED_TO_MULTIPLE_OF) * PADDED_TO_MULTIPLE_OF
    padded = padded if longest is None else padded.clip(max=longest)
    for length in np.unique(padded)[::-1]:
        rows, size = np.flatnonzero(padded == length), max(GPU_BATCH_TOKENS // int(length), 1)
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
    # GPUs before Ampere are fast in float16 only.
    before_ampere = device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)
    return torch.float16 if before_ampere else torch.bfloat16
