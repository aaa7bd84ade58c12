"""Rows of a training set as inputs of the network: each distinct text tokenized once, batches padded."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from model_training.data.dataset import TrainingSet
from model_training.data.outcome import Outcome
from model_training.runs.progress import track
from ulvspark.contract.spec import NetworkSpec, TextSpec, TierSpec, Unit
from ulvspark.history.text import event_texts, render
from ulvspark.model.encoder.batching import Tokens, pad
from ulvspark.model.encoder.tokenizing import tokenize, tokenize_single
from ulvspark.model.network.event_arrays import Events
from ulvspark.model.network.text_vectors import places

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Texts(ABC):
    """The distinct texts behind n rows; ``of_row`` (n,) is the number of each row's history."""

    tokens: Tokens
    of_row: npt.NDArray[np.int64]
    pad_token_id: int

    @abstractmethod
    def lengths(self, histories: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """What reading each of ``histories`` costs: tokens or events."""

    @abstractmethod
    def inputs(self, histories: npt.NDArray[np.int64], pooled: Tensor | None) -> dict[str, Tensor]:
        """The encoder's inputs for ``histories``; ``pooled`` (texts, D) is what a frozen backbone made of the texts."""

    def _states(self, texts: npt.NDArray[np.int64], pooled: Tensor | None) -> dict[str, Tensor]:
        if pooled is not None:
            return {"pooled": pooled[torch.from_numpy(texts)]}
        return pad(self.tokens, texts, self.pad_token_id)


@dataclass(frozen=True)
class HistoryTexts(Texts):
    """Unit ``history``: one text a history."""

    def lengths(self, histories: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return self.tokens.lengths[histories]

    def inputs(self, histories: npt.NDArray[np.int64], pooled: Tensor | None) -> dict[str, Tensor]:
        return self._states(histories, pooled)


@dataclass(frozen=True)
class EventTexts(Texts):
    """Unit ``event``: the texts of all events, and each history as the sequence of its events."""

    events: Events
    """With numbers from 1 among the texts as ``product`` and ``text``."""

    def lengths(self, histories: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return self.events.lengths[histories]

    def inputs(self, histories: npt.NDArray[np.int64], pooled: Tensor | None) -> dict[str, Tensor]:
        inputs, used = self.events.padded(histories).inputs()
        return {**inputs, **self._states(used - 1, pooled)}


@dataclass(frozen=True)
class Examples:
    """n rows with their labels. ``pooled`` (texts, D), where given, is read instead of the tokens."""

    features: npt.NDArray[np.float32]
    outcome: Outcome
    texts: Texts | None
    heads: tuple[str, ...]
    pooled: Tensor | None = None

    @classmethod
    def from_training_set(
        cls,
        training_set: TrainingSet,
        tiers: TierSpec,
        network: NetworkSpec,
        tokenizer: PreTrainedTokenizerBase | None,
        text: TextSpec,
    ) -> Self:
        """All rows of ``training_set``; without texts where there is no tokenizer."""
        texts = None if tokenizer is None else distinct_texts(training_set.rows, tokenizer, text, network.unit)
        return cls(training_set.features(), training_set.outcome(tiers), texts, network.heads)

    def with_pooled(self, pooled: Tensor) -> Self:
        """The same rows with the states that a frozen backbone made of their texts."""
        return replace(self, pooled=pooled)

    def lengths(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Tokens or events that each of ``rows`` costs; all equal where one state of a text is all that is read."""
        if self.texts is None or (self.pooled is not None and isinstance(self.texts, HistoryTexts)):
            return np.ones(len(rows), dtype=np.int64)
        return self.texts.lengths(self.texts.of_row[rows])

    def batch(self, rows: Sequence[int]) -> dict[str, Any]:
        """The inputs and labels of the network for ``rows``; Trainer's collator."""
        chosen = np.asarray(rows)
        labels = {head: _tensor(self.outcome.labels[head][chosen]) for head in self.heads}
        inputs: dict[str, Any] = {"features": torch.from_numpy(self.features[chosen]), "labels": labels}
        if self.texts is not None:
            inputs["texts"] = self.texts.inputs(self.texts.of_row[chosen], self.pooled)
        return inputs


def _tensor(values: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(values if values.dtype == np.int64 else values.astype(np.float32))


def distinct_texts(rows: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, spec: TextSpec, unit: Unit) -> Texts:
    """What the histories of ``rows`` are read from, each distinct text tokenized once."""
    of_row, hashes = pd.factorize(rows["history_hash"])
    histories = rows.drop_duplicates("history_hash")["history"]
    read = _history_texts if unit == "history" else _event_texts
    texts = read(histories, of_row.astype(np.int64), tokenizer, spec)
    many, mean = len(texts.tokens.input_ids), texts.tokens.lengths.mean()
    logger.info("%d rows have %d histories, read from %d texts of %.0f tokens", len(rows), len(hashes), many, mean)
    return texts


def _history_texts(
    histories: pd.Series, of_row: npt.NDArray[np.int64], tokenizer: PreTrainedTokenizerBase, spec: TextSpec
) -> HistoryTexts:
    rendered = [render(history, spec) for history in track(histories.tolist(), "render texts", "text")]
    return HistoryTexts(tokenize(tokenizer, rendered, spec), of_row, int(tokenizer.pad_token_id))


def _event_texts(
    histories: pd.Series, of_row: npt.NDArray[np.int64], tokenizer: PreTrainedTokenizerBase, spec: TextSpec
) -> EventTexts:
    texts = dict(sorted(event_texts(histories).items()))
    keys = np.fromiter(texts, dtype=np.int64, count=len(texts))
    events = Events.from_histories(list(histories))
    placed = events.with_texts(places(keys, events.product), places(keys, events.text))
    tokens = tokenize_single(tokenizer, list(texts.values()), spec)
    return EventTexts(tokens, of_row, int(tokenizer.pad_token_id), placed)
