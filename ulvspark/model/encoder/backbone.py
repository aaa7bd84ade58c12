"""Loads the pretrained base encoder (a BERT or the like) without running code from its repository."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ulvspark.contract.errors import ExpectedError
from ulvspark.model.encoder.adapter import has_adapter, with_adapter
from ulvspark.model.encoder.bert import can_load, check_complete, load_bert, read_config
from ulvspark.model.encoder.quiet import quiet_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_backbone(name_or_folder: str | Path, dtype: torch.dtype = torch.float32) -> "PreTrainedModel":
    """The base encoder of a folder (or a name in the local Hugging Face cache), without a pooler.

    Weights that are stored as ``dtype`` are memory-mapped, so that the processes of a host share one copy.
    Raises ExpectedError where the base encoder is missing, has no safetensors weights, needs remote code or lacks
    weights.
    """
    from transformers import AutoModel  # noqa: PLC0415 - takes seconds, and scoring needs none of it

    try:
        with quiet_transformers():
            backbone, report = AutoModel.from_pretrained(
                str(name_or_folder),
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ExpectedError(f"cannot load the base model {name_or_folder}: {reason}") from error
    check_complete(name_or_folder, [name for name in report["missing_keys"] if not name.startswith("pooler.")])
    if hasattr(backbone, "pooler"):
        # TextEncoder pools. The pooler's weights would never get a gradient, which stops distributed training.
        backbone.pooler = None
    return backbone  # type: ignore[no-any-return]


def load_to_serve(folder: Path, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The base encoder and adapter of a bundle, to be run on ``device`` (the GPU engine moves them there).

    For the CPU, a BERT or the like is loaded without importing transformers. Raises as ``load_backbone`` does.
    """
    if device.type == "cpu" and not has_adapter(folder):
        config = read_config(folder)
        if can_load(config):
            return load_bert(folder, config, dtype)
    return with_adapter(load_backbone(folder, dtype), folder)


def max_positions(backbone: nn.Module) -> int | None:
    """The longest input the base encoder can read, in tokens; None where its configuration states none."""
    config: Any = backbone.config
    stated = getattr(config, "max_position_embeddings", None)
    if stated is None:
        return None
    # RoBERTa numbers positions from its padding id + 1.
    offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    return int(stated) - offset
