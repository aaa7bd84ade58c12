"""The layers of BERT and its relatives, served on a CPU without importing transformers, which takes seconds.

Modules and weights have Hugging Face's names, so that ``PackedEncoder`` runs these and theirs alike.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ulvspark.contract.errors import ExpectedError

FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert"})
"""Hugging Face's names of the models that have these layers."""

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU}

WEIGHTS = "model.safetensors"


def read_config(folder: Path) -> SimpleNamespace:
    """The configuration of the base encoder that Hugging Face saved in ``folder``, with Hugging Face's names."""
    return SimpleNamespace(**json.loads((folder / "config.json").read_text(encoding="utf-8")))


def has_bert_layers(config: Any) -> bool:  # noqa: ANN401 - any family's
    """Whether a model with Hugging Face's ``config`` is made of the layers of BERT."""
    return getattr(config, "model_type", None) in FAMILIES and not getattr(config, "is_decoder", False)


def can_load(config: Any) -> bool:  # noqa: ANN401 - any family's
    """Whether ``load_bert`` knows all that a model with Hugging Face's ``config`` is made of."""
    return has_bert_layers(config) and config.hidden_act in ACTIVATIONS


def load_bert(folder: Path, config: Any, dtype: torch.dtype) -> "Bert":  # noqa: ANN401 - any family's
    """The base encoder that Hugging Face saved in ``folder``, without a pooler, for ``PackedEncoder`` to run.

    Weights that are stored as ``dtype`` are memory-mapped. Raises ExpectedError where weights are missing.
    """
    # Without memory for weights, which would be random and are replaced at once.
    with torch.device("meta"):
        bert = Bert(config)
    weights = {name: weight.to(dtype) for name, weight in load_file(folder / WEIGHTS).items()}
    check_complete(folder, bert.load_state_dict(weights, strict=False, assign=True).missing_keys)
    return bert


def check_complete(name_or_folder: str | Path, missing: list[str]) -> None:
    """Raises ExpectedError where any weights are ``missing``."""
    if missing:
        first = min(missing)
        raise ExpectedError(f"the base model {name_or_folder} lacks weights, {first} first; give a complete one")


class Bert(nn.Module):
    """Embeddings and layers; what runs them is ``PackedEncoder``."""

    def __init__(self, config: Any) -> None:  # noqa: ANN401 - any family's
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_layer(config) for _ in range(config.num_hidden_layers))})


class Embeddings(nn.Module):
    """Token ids to the states that the first layer reads."""

    def __init__(self, config: Any) -> None:  # noqa: ANN401 - any family's
        super().__init__()
        self.word_embeddings = _embedding(config.vocab_size, config)
        self.position_embeddings = _embedding(config.max_position_embeddings, config)
        self.token_type_embeddings = _embedding(config.type_vocab_size, config)
        self.LayerNorm = _norm(config)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None, position_ids: Tensor) -> Tensor:
        """Ids, segments (None: all in the first) and positions, (1, N) each, to states (1, N, D)."""
        segments = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        # In Hugging Face's order, since sums of floats depend on it.
        words = self.word_embeddings(input_ids) + self.token_type_embeddings(segments)
        states: Tensor = self.LayerNorm(words + self.position_embeddings(position_ids))
        return states


def _embedding(rows: int, config: Any) -> nn.Embedding:  # noqa: ANN401 - any family's
    # Not nn.Embedding(...): drawing its first weights without memory for them would import torch's compiler.
    weight = torch.empty(rows, config.hidden_size)
    embedding: nn.Embedding = nn.Embedding.from_pretrained(weight)  # type: ignore[no-untyped-call]
    return embedding


def _layer(config: Any) -> nn.ModuleDict:  # noqa: ANN401 - any family's
    size, wide = config.hidden_size, config.intermediate_size
    read = nn.ModuleDict({name: nn.Linear(size, size) for name in ("query", "key", "value")})
    widened = {"dense": nn.Linear(size, wide), "intermediate_act_fn": ACTIVATIONS[config.hidden_act]()}
    return nn.ModuleDict(
        {
            "attention": nn.ModuleDict({"self": read, "output": _output(size, config)}),
            "intermediate": nn.ModuleDict(widened),
            "output": _output(wide, config),
        }
    )


def _output(inputs: int, config: Any) -> nn.ModuleDict:  # noqa: ANN401 - any family's
    return nn.ModuleDict({"dense": nn.Linear(inputs, config.hidden_size), "LayerNorm": _norm(config)})


def _norm(config: Any) -> nn.LayerNorm:  # noqa: ANN401 - any family's
    return nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
