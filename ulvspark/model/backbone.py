"""The base encoder: loaded without remote code, run on token ids, pooled into one state a text."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from ulvspark.contract.errors import ExpectedError
from ulvspark.model.quiet import quiet_transformers


def load_backbone(name_or_folder: str | Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The base encoder of a folder (or a name in the local Hugging Face cache), without a pooler.

    Weights that are stored as ``dtype`` are mapped into memory: the processes of a host share one copy.
    Raises ExpectedError where it is not there, has no safetensors weights, needs code of its own or lacks weights.
    """
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
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise ExpectedError(f"the base model {name_or_folder} lacks weights, {missing[0]} first; give a complete one")
    if hasattr(backbone, "pooler"):
        # We pool ourselves; weights that never get a gradient would stop distributed training.
        backbone.pooler = None
    return backbone  # type: ignore[no-any-return]


def max_positions(backbone: nn.Module) -> int | None:
    """The longest input the base encoder can read, in tokens; None where its configuration states none."""
    config: Any = backbone.config
    stated = getattr(config, "max_position_embeddings", None)
    if stated is None:
        return None
    # RoBERTa numbers positions from its padding id + 1.
    offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    return int(stated) - offset


def pool(states: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """(B, T, D) token states to (B, D): the mean of real tokens, the first or the last real token."""
    if pooling == "mean":
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    if pooling == "cls":
        return states[:, 0]
    positions = torch.arange(states.shape[1], device=states.device)
    last = (attention_mask * positions).argmax(dim=1)
    return states[torch.arange(states.shape[0], device=states.device), last]


class TextReader(nn.Module):
    """A base encoder and how its token states become one state a text."""

    def __init__(self, backbone: nn.Module, pooling: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling

    def beside_backbone(self) -> nn.ModuleDict:
        """All that is learned here but the base encoder itself."""
        return nn.ModuleDict({name: child for name, child in self.named_children() if name != "backbone"})

    @property
    def state_size(self) -> int:
        """Numbers in the state of a text."""
        config: Any = self.backbone.config
        return int(config.hidden_size)

    def pooled(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """(B, T) ids, mask and segments to (B, D) states."""
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **segments).last_hidden_state
        return pool(states, attention_mask, self.pooling)
