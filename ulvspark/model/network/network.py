"""The architecture: a base encoder makes a user's vector, which the heads read together with the user's numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ulvspark.contract.heads import HEADS
from ulvspark.contract.spec import HistorySpec, NetworkSpec
from ulvspark.history.features import feature_names
from ulvspark.model.encoder.text_encoder import TextEncoder
from ulvspark.model.network.heads import output_size, total_loss
from ulvspark.model.network.sequence import EventEncoder


class HistoryEncoder(TextEncoder):
    """Token ids of a user's text to the user's vector."""

    def __init__(self, backbone: nn.Module, pooling: str, vector_size: int) -> None:
        super().__init__(backbone, pooling)
        self.vector_size = vector_size
        # The norm brings the vector to the scale of the standardised numbers it is joined with.
        self.projection = nn.Sequential(nn.Linear(self.state_size, vector_size), nn.LayerNorm(vector_size))

    def forward(
        self,
        pooled: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """States (B, D) of B texts that were read before, or their tokens (B, T), to (B, vector_size)."""
        if pooled is None:
            assert input_ids is not None and attention_mask is not None  # noqa: S101, PT018 - one of both is given
            pooled = self.pooled(input_ids, attention_mask, token_type_ids)
        vectors: Tensor = self.projection(pooled)
        return vectors


class Decider(nn.Module):
    """A user's vector and numbers to the raw outputs of the heads."""

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, spec: NetworkSpec, n_features: int, n_tiers: int) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("feature_mean", torch.zeros(n_features))
        self.register_buffer("feature_std", torch.ones(n_features))
        width = spec.vector_size * spec.use_text + n_features * spec.use_numbers
        hidden = [nn.Linear(width, spec.hidden_size), nn.GELU()] if spec.hidden_size else []
        self.trunk = nn.Sequential(*hidden, nn.Dropout(spec.dropout))
        read = spec.hidden_size or width
        self.heads = nn.ModuleDict(
            {head: nn.Linear(read, output_size(HEADS[head].kind, n_tiers)) for head in spec.heads}
        )

    def fit_statistics(self, features: npt.NDArray[np.float32]) -> None:
        """Take mean and standard deviation of the training features (n, F), leaving out unknown ones (NaN)."""
        known = ~np.isnan(features)
        counts = known.sum(axis=0)
        values = np.where(known, features, 0).astype(np.float64)
        mean = values.sum(axis=0) / counts.clip(1)
        std = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(axis=0) / counts.clip(1))
        # A constant column says nothing; dividing by 1 leaves it at 0.
        std[std < 1e-6] = 1.0
        self.feature_mean.copy_(torch.from_numpy(mean))
        self.feature_std.copy_(torch.from_numpy(std))

    def standardise(self, features: Tensor) -> Tensor:
        """(B, F) features to mean 0 and deviation 1; unknown values (NaN) become the mean."""
        return ((features - self.feature_mean) / self.feature_std).nan_to_num(nan=0.0)

    def forward(self, vectors: Tensor | None, features: Tensor | None) -> dict[str, Tensor]:
        """(B, vector_size) and (B, F), each only where the spec uses it, to raw outputs by head in the spec's order."""
        parts = [vectors] if vectors is not None and self.spec.use_text else []
        if features is not None and self.spec.use_numbers:
            parts.append(self.standardise(features))
        hidden = self.trunk(torch.cat(parts, dim=1))
        return {head: self.heads[head](hidden).squeeze(-1) for head in self.spec.heads}


class UserValueNetwork(nn.Module):
    """Encoder and decider as one module, as Trainer trains it. ``encoder`` is None where the spec uses no text."""

    class_weights: Tensor | None

    def __init__(
        self,
        encoder: HistoryEncoder | EventEncoder | None,
        decider: Decider,
        class_weights: Tensor | None = None,
        head_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decider = decider
        self.head_weights = head_weights
        # Class weights only matter in training: they move to a device with the module but are not saved.
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(
        self,
        features: Tensor | None = None,
        texts: Mapping[str, Tensor] | None = None,
        labels: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Raw outputs by head in the spec's order, after "loss" where labels are given.

        ``texts`` are the inputs of the encoder, ``labels`` those of ``head_loss`` by head. A label without a head is
        ignored.
        """
        vectors = None if self.encoder is None or texts is None else self.encoder(**texts)
        outputs = self.decider(vectors, features)
        learned = {head: label for head, label in (labels or {}).items() if head in outputs}
        loss = {"loss": total_loss(outputs, learned, self.class_weights, self.head_weights)} if learned else {}
        return {**loss, **outputs}

    def activation_checkpointing_enable(self, **how: Any) -> None:  # noqa: ANN401 - passed on as it is
        """Trade time for memory in the base encoder (also called gradient checkpointing); Trainer calls this."""
        if self.encoder is not None:
            backbone: Any = self.encoder.backbone
            backbone.activation_checkpointing_enable(**how)


def build_network(
    spec: NetworkSpec,
    backbone: nn.Module | None,
    history: HistorySpec,
    n_tiers: int,
    class_weights: Tensor | None = None,
    head_weights: Mapping[str, float] | None = None,
) -> UserValueNetwork:
    """A new network with untrained heads around ``backbone`` (None where the spec uses no text)."""
    encoder = None if backbone is None else _encoder(spec, backbone, history.recent_events)
    decider = Decider(spec, len(feature_names(history)), n_tiers)
    return UserValueNetwork(encoder, decider, class_weights, head_weights)


def _encoder(spec: NetworkSpec, backbone: nn.Module, recent_events: int) -> HistoryEncoder | EventEncoder:
    if spec.unit == "history":
        return HistoryEncoder(backbone, spec.pooling, spec.vector_size)
    return EventEncoder(backbone, spec.pooling, spec.vector_size, spec.sequence, recent_events)
