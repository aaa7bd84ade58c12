"""Runs BERT and similar models without padding: the tokens of a batch end to end, attention within each text.

Nothing is computed for padding, and no mask is needed. Each row of a matrix product is computed by itself, so the
states of a text do not depend on its batch.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ulvspark.model.encoder.bert import has_bert_layers
from ulvspark.model.encoder.precision import Int8Linear, linear_all

SCORES_PER_BLOCK = 2**18
"""Most attention scores computed at once: what fits the cache of a core."""

INT8_ROWS = 192
"""Most tokens in a linear layer at once in int8: rounding is limited by memory, so they have to fit the cache."""


def can_pack(backbone: nn.Module) -> bool:
    """Whether ``PackedEncoder`` knows the layers of ``backbone``."""
    return has_bert_layers(getattr(backbone, "config", None)) and not hasattr(backbone, "peft_config")


class PackedEncoder(nn.Module):
    """Runs the layers of a BERT, RoBERTa or the like on texts laid end to end, without dropout.

    It runs a ``Bert`` and Hugging Face's own modules alike.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        config: Any = backbone.config
        self.heads = int(config.num_attention_heads)
        eight = any(isinstance(layer, Int8Linear) for layer in backbone.modules())
        self.rows = INT8_ROWS if eight else sys.maxsize
        self.query_scale = (int(config.hidden_size) // self.heads) ** -0.5
        # With int8 layers, attention in float32 would take a third of the time; in bfloat16 it takes less.
        self.attention_dtype = torch.bfloat16 if eight else next(backbone.parameters()).dtype
        # RoBERTa numbers positions from its padding id + 1.
        self.first_position = 0 if config.model_type == "bert" else int(config.pad_token_id) + 1

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None, lengths: Sequence[int]) -> Tensor:
        """(N,) ids and segments of texts with ``lengths``, equal ones side by side, to (N, D) states."""
        backbone: Any = self.backbone
        positions = torch.cat([torch.arange(length) for length in lengths]) + self.first_position
        segments = None if token_type_ids is None else token_type_ids[None]
        inputs = {"input_ids": input_ids[None], "token_type_ids": segments, "position_ids": positions[None]}
        states: Tensor = backbone.embeddings(**inputs)[0]
        for layer in backbone.encoder.layer:
            states = self._layer(layer, states, lengths)
        return states

    def _layer(self, layer: Any, states: Tensor, lengths: Sequence[int]) -> Tensor:  # noqa: ANN401 - any family's
        after = layer.attention.output
        attended = self._attention(self._projected(layer.attention.self, states), lengths)
        read = torch.empty_like(states)
        for rows in self._pieces(states):
            mixed = after.LayerNorm(after.dense(attended[rows]).add_(states[rows]))
            read[rows] = _feed_forward(layer, mixed)
        return read

    def _projected(self, own: Any, states: Tensor) -> Tensor:  # noqa: ANN401 - any family's
        """Queries, keys and values, (3, N, D); the queries scaled for the softmax."""
        projected = torch.empty((3, *states.shape), dtype=self.attention_dtype)
        for rows in self._pieces(states):
            query, key, value = linear_all((own.query, own.key, own.value), states[rows])
            query.mul_(self.query_scale)
            for into, found in zip(projected, (query, key, value), strict=True):
                into[rows] = found
        return projected

    def _pieces(self, rows: Tensor) -> list[slice]:
        return [slice(start, start + self.rows) for start in range(0, len(rows), self.rows)]

    def _attention(self, projected: Tensor, lengths: Sequence[int]) -> Tensor:
        """(3, N, D) as ``_projected`` gives it, to (N, D)."""
        attended = torch.empty_like(projected[0])
        for start, count, length in _blocks(lengths, self.heads):
            rows = slice(start, start + count * length)
            block = (self._by_head(each[rows], length) for each in projected)
            mixed = _attend(*block).view(count, self.heads, length, -1).transpose(1, 2)
            attended[rows].view(mixed.shape[0], length, self.heads, -1).copy_(mixed)
        return attended

    def _by_head(self, rows: Tensor, length: int) -> Tensor:
        """(texts * length, D) to (texts * heads, length, D / heads)."""
        split = rows.view(-1, length, self.heads, rows.shape[-1] // self.heads).transpose(1, 2)
        return split.reshape(-1, length, split.shape[-1])


def _feed_forward(layer: Any, states: Tensor) -> Tensor:  # noqa: ANN401 - any family's
    wide: Tensor = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(states))
    mixed: Tensor = layer.output.LayerNorm(layer.output.dense(wide).add_(states))
    return mixed


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(B, T, d) each, the queries scaled, to (B, T, d); the softmax in float32.

    Written out, since torch's fused attention takes twice as long on a CPU for texts this short.
    """
    scores = torch.bmm(query, key.transpose(1, 2))
    return torch.bmm(torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype), value)


def _blocks(lengths: Sequence[int], heads: int) -> Iterator[tuple[int, int, int]]:
    """(first row, number, length) of neighbouring texts of equal length, as many as ``SCORES_PER_BLOCK`` allows."""
    first, text = 0, 0
    while text < len(lengths):
        length = lengths[text]
        most = min(len(lengths), text + max(1, SCORES_PER_BLOCK // (heads * length * length)))
        count = next((n for n in range(text, most) if lengths[n] != length), most) - text
        yield first, count, length
        first, text = first + count * length, text + count
