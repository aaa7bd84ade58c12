"""Which of the base's weights learn, and how fast each layer does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn, optim
from torch.nn import Parameter

from model_training.finetuning.bases import layers
from model_training.finetuning.config import Optimiser, TopLayers, Tuning
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.network.network import UserValueNetwork


def freeze(backbone: nn.Module, tuning: Tuning) -> None:
    """Let only the weights of the base learn that ``tuning.freeze`` names.

    Raises ExpectedError where it names more layers than there are.
    """
    backbone.requires_grad_(tuning.freeze == "all")
    if not isinstance(tuning.freeze, TopLayers):
        return
    stack = layers(backbone)
    if tuning.freeze.top > len(stack):
        raise ExpectedError(f"tuning.freeze.top is {tuning.freeze.top}, but the base has {len(stack)} layers")
    for layer in list(stack)[-tuning.freeze.top :]:
        layer.requires_grad_(True)
    for norm in _norms_after(backbone, stack):
        norm.requires_grad_(True)


def _norms_after(backbone: nn.Module, stack: nn.ModuleList) -> Iterator[nn.Module]:
    """Final norms (GPT-2, ModernBERT): modules of the base itself that come after its layers."""
    children = list(backbone.children())
    place = next((i for i, child in enumerate(children) if child is stack), len(children))
    return iter(children[place + 1 :])


def set_dropout(backbone: nn.Module, dropout: float | None) -> None:
    """Set every dropout of the base, if one is given."""
    for module in backbone.modules():
        if dropout is not None and isinstance(module, nn.Dropout):
            module.p = dropout


def build_optimiser(network: nn.Module, spec: Optimiser, layer_decay: float | None = None) -> optim.Optimizer:
    """AdamW or SGD over the weights that learn, grouped by learning rate and weight decay."""
    groups = [group.to_dict() for group in _groups(network, spec, layer_decay)]
    if spec.name == "sgd":
        return optim.SGD(groups, lr=spec.learning_rate, momentum=spec.momentum)
    return optim.AdamW(groups, lr=spec.learning_rate)


@dataclass(frozen=True)
class Group:
    """Weights that share a learning rate and weight decay."""

    params: list[Parameter]
    lr: float
    weight_decay: float

    def to_dict(self) -> dict[str, Any]:
        return {"params": self.params, "lr": self.lr, "weight_decay": self.weight_decay}


def _groups(network: nn.Module, spec: Optimiser, layer_decay: float | None) -> list[Group]:
    weights_of: dict[tuple[float, float], list[Parameter]] = {}
    rates = learning_rates(network, spec, layer_decay)
    for name, weight in network.named_parameters():
        if weight.requires_grad:
            # No decay for biases and norms, the one-dimensional weights, as is usual for transformers.
            decay = spec.weight_decay if weight.ndim > 1 else 0.0
            weights_of.setdefault((rates[name], decay), []).append(weight)
    return [Group(weights, rate, decay) for (rate, decay), weights in weights_of.items()]


def learning_rates(network: nn.Module, spec: Optimiser, layer_decay: float | None) -> dict[str, float]:
    """The learning rate of each weight, by name. In the base it falls from the top layer to the embeddings."""
    heads = spec.head_learning_rate or spec.learning_rate
    depth = _depths(network) if layer_decay is not None else {}
    return {
        name: spec.learning_rate * (layer_decay or 1.0) ** depth.get(id(weight), 0)
        if ".backbone." in f".{name}"
        else heads
        for name, weight in network.named_parameters()
    }


def _depths(network: nn.Module) -> dict[int, int]:
    """How many layers lie above each weight of the base, by ``id`` of the weight."""
    if not isinstance(network, UserValueNetwork) or network.encoder is None or not hasattr(network.encoder, "backbone"):
        return {}
    backbone = network.encoder.backbone
    stack = layers(backbone)
    above = {id(weight): 0 for norm in _norms_after(backbone, stack) for weight in norm.parameters()}
    for number, layer in enumerate(stack):
        above |= {id(weight): len(stack) - 1 - number for weight in layer.parameters()}
    return {id(weight): above.get(id(weight), len(stack)) for weight in backbone.parameters()}


def count_parameters(network: nn.Module) -> tuple[int, int]:
    """How many weights learn, and how many there are."""
    weights = list(network.parameters())
    learning = sum(weight.numel() for weight in weights if weight.requires_grad)
    return learning, sum(weight.numel() for weight in weights)
