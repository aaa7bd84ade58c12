"""Turns users' recent events into vectors, for both units of text: render, tokenize, encode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered, event_texts, render
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.encoder.cpu_engine import CpuEngine
from ulvspark.model.encoder.gpu_engine import GpuEngine
from ulvspark.model.encoder.tokenizing import tokenize, tokenize_single
from ulvspark.model.network.event_arrays import Events
from ulvspark.model.network.network import HistoryEncoder
from ulvspark.model.network.sequence import EventEncoder, read_events
from ulvspark.model.network.text_vectors import States, TextVectors

History = Mapping[str, Any]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HistoryReader:
    """Reads a user's last events as one text (unit ``history``)."""

    encoder: HistoryEncoder
    tokenizer: PreTrainedTokenizerBase
    spec: TextSpec
    engine: CpuEngine | GpuEngine

    def render(self, histories: Sequence[History]) -> list[Rendered]:
        """The text of each history."""
        return [render(history, self.spec) for history in histories]

    def tokenize(self, histories: Sequence[History]) -> Tokens:
        """The token ids of each history."""
        return tokenize(self.tokenizer, self.render(histories), self.spec)

    def encode(self, histories: Sequence[History]) -> Vectors:
        """(n, vector_size), in the order given; the same for a history whatever it is batched with."""
        states = self.engine.encode(self.tokenize(histories), self.tokenizer.pad_token_id)
        with torch.inference_mode():
            return self.encoder.projection(torch.from_numpy(states)).numpy()  # type: ignore[no-any-return]

    def readings(self, histories: Sequence[History]) -> dict[str, list[Any]]:
        """What is read of each history: its text and token ids."""
        texts = self.render(histories)
        return {
            "profile": [text.profile for text in texts],
            "events": [text.events for text in texts],
            "input_ids": self.tokenize(histories).input_ids,
        }


@dataclass(frozen=True)
class EventReader:
    """Reads each distinct text once, and a user as the sequence of the last events (unit ``event``)."""

    encoder: EventEncoder
    tokenizer: PreTrainedTokenizerBase
    spec: TextSpec
    engine: CpuEngine | GpuEngine
    _read: dict[str, States] = field(default_factory=dict, init=False)
    """States of texts that ``encode`` has met."""

    def encode(self, histories: Sequence[History]) -> Vectors:
        """(n, vector_size) of histories that carry words and keys. A text met in an earlier call is not read again."""
        texts = event_texts(histories)
        unread = [text for text in dict.fromkeys(texts.values()) if text not in self._read]
        self._read.update(zip(unread, self.encode_texts(unread), strict=True))
        states = np.stack([self._read[text] for text in texts.values()]) if texts else self.encode_texts([])
        keys = np.fromiter(texts, dtype=np.int64, count=len(texts))
        return read_events(self.encoder, Events.from_histories(histories), TextVectors.from_unsorted(keys, states))

    def encode_texts(self, texts: Sequence[str]) -> States:
        """(n, D) states of texts, rounded as ``text_vectors`` keeps them."""
        return self.engine.encode(self.tokenize_texts(texts), self.tokenizer.pad_token_id).astype(np.float16)

    def tokenize_texts(self, texts: Sequence[str]) -> Tokens:
        """The token ids of each text."""
        return tokenize_single(self.tokenizer, texts, self.spec)

    def readings(self, histories: Sequence[History]) -> dict[str, list[Any]]:
        """What is read of each history: the texts of its events, and their token ids."""
        texts = [list(event_texts([history]).values()) for history in histories]
        return {"texts": texts, "input_ids": [self.tokenize_texts(each).input_ids for each in texts]}


Reader = HistoryReader | EventReader


def in_float32(reader: Reader | None) -> Reader | None:
    """The same on the CPU and in float32, of the weights as they are stored: its vectors are the same everywhere."""
    if reader is None or (isinstance(reader.engine, CpuEngine) and reader.engine.precision == "fp32"):
        return reader
    return replace(reader, engine=CpuEngine(reader.encoder))
