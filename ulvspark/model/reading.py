"""What turns histories into vectors: render, tokenize, batch, encode. The seam where another unit of text would fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered, render
from ulvspark.model.batching import Tokens, batches, pad, tokenize
from ulvspark.model.network import HistoryEncoder

History = Mapping[str, Any]


@dataclass(frozen=True)
class HistoryReader:
    """Reads a user's last events as one text (unit ``history``)."""

    encoder: HistoryEncoder
    tokenizer: PreTrainedTokenizerBase
    spec: TextSpec

    def render(self, histories: Sequence[History]) -> list[Rendered]:
        """The text of each history."""
        return [render(history, self.spec) for history in histories]

    def tokenize(self, histories: Sequence[History]) -> Tokens:
        """The token ids of each history."""
        return tokenize(self.tokenizer, self.render(histories), self.spec)

    def encode(self, histories: Sequence[History]) -> npt.NDArray[np.float32]:
        """(n, vector_size), in the order given; the same for a history whatever it is batched with."""
        tokens = self.tokenize(histories)
        vectors = np.empty((len(histories), self.encoder.vector_size), dtype=np.float32)
        with torch.inference_mode():
            for rows in batches(tokens.lengths):
                inputs = pad(tokens, rows, self.tokenizer.pad_token_id)
                vectors[rows] = self.encoder(**inputs).numpy()
        return vectors
