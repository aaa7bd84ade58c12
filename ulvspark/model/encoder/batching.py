"""Groups texts of similar length into batches, so that little is padded. Training and scoring share it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

TOKEN_BUDGET = 8192
"""Most tokens in a padded batch, padding included: more gains nothing on a CPU and costs memory."""

MAX_BATCH = 256
"""Most texts in a batch."""


@dataclass(frozen=True)
class Tokens:
    """Token ids of n texts, unpadded, and their segments (None where the tokenizer has no segments)."""

    input_ids: list[list[int]]
    token_type_ids: list[list[int]] | None

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(n,) tokens of each text."""
        return np.array([len(ids) for ids in self.input_ids], dtype=np.int64)


def batches(
    lengths: npt.NDArray[np.int64], token_budget: int = TOKEN_BUDGET, max_batch: int = MAX_BATCH
) -> list[npt.NDArray[np.int64]]:
    """Row numbers grouped by similar length, longest first, each group padded within the budget (or a single row).

    Every row is in exactly one group, so ``out[rows] = results`` undoes the order.
    """
    order = np.argsort(-lengths, kind="stable")
    groups, start = [], 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        size = min(max(token_budget // longest, 1), max_batch)
        groups.append(order[start : start + size])
        start += size
    return groups


def pad(tokens: Tokens, rows: npt.NDArray[np.int64] | Sequence[int], pad_token_id: int) -> dict[str, Tensor]:
    """The network's token inputs for ``rows``, each (B, T) int64, padded on the right to the longest of them."""
    ids = [torch.tensor(tokens.input_ids[row]) for row in rows]
    padded = nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=pad_token_id)
    lengths = torch.tensor([len(each) for each in ids])
    inputs = {"input_ids": padded, "attention_mask": (torch.arange(padded.shape[1]) < lengths[:, None]).long()}
    if tokens.token_type_ids is not None:
        segments = [torch.tensor(tokens.token_type_ids[row]) for row in rows]
        inputs["token_type_ids"] = nn.utils.rnn.pad_sequence(segments, batch_first=True)
    return inputs
