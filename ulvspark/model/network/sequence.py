"""The network of unit ``event``: a small transformer over the events of each user, whose texts were read before."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ulvspark.contract.schema import CODED
from ulvspark.contract.spec import SequenceSpec
from ulvspark.model.encoder.batching import batches
from ulvspark.model.encoder.text_encoder import TextEncoder
from ulvspark.model.network.event_arrays import EVENT_MEASURES, Events, Ints
from ulvspark.model.network.text_vectors import States, TextVectors

TEXTS_AT_ONCE = 8192
"""Texts whose states are turned into numbers of 32 bits at once, which bounds the memory."""


class EventEncoder(TextEncoder):
    """Turns the events of users, with the states of their texts, into the users' vectors.

    An event is the sum of the embeddings of its texts, its fields and its place, as BERT sums words and positions.
    """

    def __init__(self, backbone: nn.Module, pooling: str, vector_size: int, spec: SequenceSpec, events: int) -> None:
        super().__init__(backbone, pooling)
        self.vector_size = vector_size
        self.item = nn.Sequential(nn.LayerNorm(self.state_size), nn.Linear(self.state_size, spec.width))
        self.fields = nn.ModuleDict({name: nn.Embedding(len(known) + 1, spec.width) for name, known in CODED.items()})
        self.same_order = nn.Embedding(2, spec.width)
        self.place = nn.Embedding(events, spec.width)
        self.measures = nn.Linear(EVENT_MEASURES, spec.width)
        layer = nn.TransformerEncoderLayer(
            spec.width, spec.attention_heads, 2 * spec.width, spec.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, spec.layers, nn.LayerNorm(spec.width), enable_nested_tensor=False)
        self.projection = nn.Sequential(nn.Linear(spec.width, vector_size), nn.LayerNorm(vector_size))

    def forward(
        self,
        mask: Tensor,
        product: Tensor,
        text: Tensor,
        same_order: Tensor,
        measures: Tensor,
        items: Tensor | None = None,
        pooled: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **codes: Tensor,
    ) -> Tensor:
        """(B, vector_size) of what ``event_arrays.Padded.inputs`` gives for B users, and its T texts.

        The texts are given as ``items`` made them, or as ``pooled`` states (T, D), or as tokens (T, S).
        """
        if items is None:
            if pooled is None and input_ids is not None and attention_mask is not None:
                pooled = self.pooled(input_ids, attention_mask, token_type_ids)
            items = self.items(pooled)
        events = items[product] + items[text] + self.same_order(same_order) + self.measures(measures)
        for name, embedding in self.fields.items():
            events = events + embedding(codes[name])
        events = events + self.place(torch.arange(mask.shape[1], device=mask.device))
        read = self.layers(events, src_key_padding_mask=~mask)
        weights = mask.unsqueeze(-1).to(read.dtype)
        vectors: Tensor = self.projection((read * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1))
        return vectors

    def items(self, pooled: Tensor | None) -> Tensor:
        """(1 + T, W) embeddings of (T, D) states of texts; the first is zero and stands for no text."""
        linear: Any = self.item[1]
        nothing = linear.weight.new_zeros(1, linear.out_features)
        return nothing if pooled is None else torch.cat([nothing, self.item(pooled).to(nothing.dtype)])


def read_events(encoder: EventEncoder, events: Events, texts: TextVectors) -> npt.NDArray[np.float32]:
    """(n, vector_size) of the events of n users, whose keys are all among ``texts``."""
    numbered, used = texts.place(events).numbered()
    encoded = np.empty((len(events.lengths), encoder.vector_size), dtype=np.float32)
    with torch.inference_mode():
        items = _items(encoder, texts.states, used - 1)
        for rows in batches(events.lengths):
            encoded[rows] = encoder(**numbered.padded(rows).tensors(), items=items).numpy()
    return encoded


def _items(encoder: EventEncoder, states: States, texts: Ints) -> Tensor:
    """Embeddings of some texts, made once for all users who share them."""
    nothing = encoder.items(None)
    chunks = [texts[start : start + TEXTS_AT_ONCE] for start in range(0, len(texts), TEXTS_AT_ONCE)]
    read = [encoder.items(torch.from_numpy(states[chunk].astype(np.float32)))[1:] for chunk in chunks]
    return torch.cat([nothing, *read])
