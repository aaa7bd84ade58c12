"""The base encoder and its pooling: token ids of a text in, one vector (the state of the text) out."""

from typing import Any

import torch
from torch import Tensor, nn


def pool(states: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """(B, T, D) token states to (B, D): the mean of the real tokens, or the first ("cls") or last real token."""
    if pooling == "mean":
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    if pooling == "cls":
        return states[:, 0]
    positions = torch.arange(states.shape[1], device=states.device)
    last = (attention_mask * positions).argmax(dim=1)
    return states[torch.arange(states.shape[0], device=states.device), last]


class TextEncoder(nn.Module):
    """A base encoder whose token states are pooled into one state for each text."""

    def __init__(self, backbone: nn.Module, pooling: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling

    def beside_backbone(self) -> nn.ModuleDict:
        """All modules with weights but the base encoder."""
        return nn.ModuleDict({name: child for name, child in self.named_children() if name != "backbone"})

    @property
    def state_size(self) -> int:
        """D, the numbers in the state of a text."""
        config: Any = self.backbone.config
        return int(config.hidden_size)

    def pooled(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """(B, T) ids, mask and segments to (B, D) states."""
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **segments).last_hidden_state
        return pool(states, attention_mask, self.pooling)
