"""Turns users' recent events into vectors, for both units of text: render, tokenize, encode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered, event_texts, render
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.encoder.cpu_engine import CpuEngine
from ulvspark.model.encoder.gpu_engine import GpuEngine
from ulvspark.model.encoder.precision import Precision
from ulvspark.model.encoder.tokenizing import AnyTokenizer, tokenize, tokenize_single
from ulvspark.model.network.event_arrays import Events
from ulvspark.model.network.network import HistoryEncoder, UserValueNetwork
from ulvspark.model.network.sequence import EventEncoder, read_events
from ulvspark.model.network.text_vectors import States, TextVectors

CPU = torch.device("cpu")

History = Mapping[str, Any]
"""The recent events of a user and who it is: a value of ``schema.HISTORY_TYPE``."""

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HistoryReader:
    """Encodes a user's recent events as one text (unit ``history``)."""

    encoder: HistoryEncoder
    tokenizer: AnyTokenizer
    spec: TextSpec
    engine: CpuEngine | GpuEngine

    def render(self, histories: Sequence[History]) -> list[Rendered]:
        """The text of each history."""
        return [render(history, self.spec) for history in histories]

    def tokenize(self, histories: Sequence[History]) -> Tokens:
        """The token ids of each history."""
        return tokenize(self.tokenizer, self.render(histories), self.spec)

    def encode(self, histories: Sequence[History]) -> Vectors:
        """(n, vector_size), in the order given; a user's vector does not depend on the other users."""
        states = self.engine.encode(self.tokenize(histories), self.tokenizer.pad_token_id)
        with torch.inference_mode():
            return self.encoder.projection(torch.from_numpy(states)).numpy()  # type: ignore[no-any-return]

    def texts_and_ids(self, histories: Sequence[History]) -> dict[str, list[Any]]:
        """By name, for each history: what the tokenizer is given (profile, events) and the token ids (input_ids)."""
        texts = self.render(histories)
        return {
            "profile": [text.profile for text in texts],
            "events": [text.events for text in texts],
            "input_ids": self.tokenize(histories).input_ids,
        }


@dataclass(frozen=True)
class EventReader:
    """Encodes each distinct text once, then a user's recent events as a sequence of them (unit ``event``)."""

    encoder: EventEncoder
    tokenizer: AnyTokenizer
    spec: TextSpec
    engine: CpuEngine | GpuEngine
    _known: dict[str, States] = field(default_factory=dict, init=False)
    """States of the texts that ``encode`` has met so far."""

    def encode(self, histories: Sequence[History]) -> Vectors:
        """(n, vector_size) of histories with words and keys. A text met in an earlier call is not encoded again."""
        texts = event_texts(histories)
        new = [text for text in dict.fromkeys(texts.values()) if text not in self._known]
        self._known.update(zip(new, self.encode_texts(new), strict=True))
        states = np.stack([self._known[text] for text in texts.values()]) if texts else self.encode_texts([])
        keys = np.fromiter(texts, dtype=np.int64, count=len(texts))
        return read_events(self.encoder, Events.from_histories(histories), TextVectors.from_unsorted(keys, states))

    def encode_texts(self, texts: Sequence[str]) -> States:
        """(n, D) states of texts, rounded to float16 as the table ``text_vectors`` keeps them."""
        return self.engine.encode(self.tokenize_texts(texts), self.tokenizer.pad_token_id).astype(np.float16)

    def tokenize_texts(self, texts: Sequence[str]) -> Tokens:
        """The token ids of each text."""
        return tokenize_single(self.tokenizer, texts, self.spec)

    def texts_and_ids(self, histories: Sequence[History]) -> dict[str, list[Any]]:
        """By name, for each history: the texts of its events (texts) and the token ids of each (input_ids)."""
        texts = [list(event_texts([history]).values()) for history in histories]
        return {"texts": texts, "input_ids": [self.tokenize_texts(of_user).input_ids for of_user in texts]}


Reader = HistoryReader | EventReader


def build_reader(
    network: UserValueNetwork,
    tokenizer: AnyTokenizer | None,
    spec: TextSpec,
    precision: Precision = "fp32",
    device: torch.device = CPU,
) -> Reader | None:
    """The reader of a network, its base encoder on ``device``; None where the network reads no text."""
    if network.encoder is None or tokenizer is None:
        return None
    if device.type == "cpu":
        engine: CpuEngine | GpuEngine = CpuEngine(network.encoder, precision)
    else:
        engine = GpuEngine(network.encoder, "fp32" if precision == "fp32" else "bf16", device)
    if isinstance(network.encoder, EventEncoder):
        return EventReader(network.encoder, tokenizer, spec, engine)
    return HistoryReader(network.encoder, tokenizer, spec, engine)


def in_float32(reader: Reader | None) -> Reader | None:
    """The same reader computing in float32 on the CPU, whose vectors are nearly the same on every machine."""
    if reader is None or (isinstance(reader.engine, CpuEngine) and reader.engine.precision == "fp32"):
        return reader
    return replace(reader, engine=CpuEngine(reader.encoder))
