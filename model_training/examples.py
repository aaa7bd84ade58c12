"""Rows of a training set as the network reads them: each distinct text tokenized once, batches padded to fit."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from model_training.dataset import TrainingSet
from model_training.metrics import Outcome
from ulvspark.contract.spec import Head, TextSpec, TierSpec
from ulvspark.history.text import render
from ulvspark.model.batching import Tokens, pad, tokenize

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Texts:
    """The distinct texts of n rows: ``of_row`` (n,) is the text number of each row."""

    tokens: Tokens
    of_row: npt.NDArray[np.int64]
    pad_token_id: int


@dataclass(frozen=True)
class Examples:
    """n rows with their labels. ``pooled`` (texts, D), where given, is read instead of the tokens."""

    features: npt.NDArray[np.float32]
    outcome: Outcome
    texts: Texts | None
    heads: tuple[Head, ...]
    pooled: Tensor | None = None

    @classmethod
    def of(
        cls,
        training_set: TrainingSet,
        tiers: TierSpec,
        heads: tuple[Head, ...],
        tokenizer: PreTrainedTokenizerBase | None,
        text: TextSpec,
    ) -> Self:
        """All rows of ``training_set``; without texts where there is no tokenizer."""
        texts = None if tokenizer is None else distinct_texts(training_set.rows, tokenizer, text)
        return cls(training_set.features(), training_set.outcome(tiers), texts, heads)

    def with_pooled(self, pooled: Tensor) -> Self:
        """The same rows, whose texts a frozen backbone has read already."""
        return replace(self, pooled=pooled)

    def lengths(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Tokens that each of ``rows`` costs; all equal where no tokens are read."""
        if self.texts is None or self.pooled is not None:
            return np.ones(len(rows), dtype=np.int64)
        return self.texts.tokens.lengths[self.texts.of_row[rows]]

    def batch(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """The inputs and labels of the network for ``rows``; Trainer's collator."""
        chosen = np.asarray(rows)
        return {"features": torch.from_numpy(self.features[chosen]), **self._texts(chosen), **self._labels(chosen)}

    def _texts(self, rows: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        if self.texts is None:
            return {}
        numbers = self.texts.of_row[rows]
        if self.pooled is not None:
            return {"pooled": self.pooled[torch.from_numpy(numbers)]}
        return pad(self.texts.tokens, numbers, self.texts.pad_token_id)

    def _labels(self, rows: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        labels: dict[Head, npt.NDArray[np.float64] | npt.NDArray[np.int64]] = {
            "tier": self.outcome.tier, "spend": self.outcome.spend, "churn": self.outcome.churned,
            "price_sensitivity": self.outcome.price_sensitivity,
        }  # fmt: skip
        return {head: _tensor(labels[head][rows]) for head in self.heads}


def _tensor(values: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(values if values.dtype == np.int64 else values.astype(np.float32))


def distinct_texts(rows: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, spec: TextSpec) -> Texts:
    """Render and tokenize each distinct history of ``rows`` once."""
    numbers, hashes = pd.factorize(rows["history_hash"])
    first = rows.drop_duplicates("history_hash")["history"]
    rendered = [render(history, spec) for history in tqdm(first, desc="render texts", unit="text", leave=False)]
    tokens = tokenize(tokenizer, rendered, spec)
    mean = tokens.lengths.mean()
    logger.info("%d rows have %d distinct texts of %.0f tokens on average", len(rows), len(hashes), mean)
    return Texts(tokens, numbers.astype(np.int64), int(tokenizer.pad_token_id))


def take(outcome: Outcome, rows: npt.NDArray[np.int64]) -> Outcome:
    """The outcome of some rows."""
    return Outcome(outcome.spend[rows], outcome.churned[rows], outcome.tier[rows], outcome.price_sensitivity[rows])
