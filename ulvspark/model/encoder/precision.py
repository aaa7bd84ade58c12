"""Number formats in which a base encoder can be served, and the linear layer that multiplies in int8.

In int8, weights have one scale for each output channel and activations one range for each token. One range for a whole
batch, as in torch's dynamic quantisation, would make a user's vector depend on the other users in the batch.
"""

import copy
from collections.abc import Sequence
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from ulvspark.contract.errors import ExpectedError

Precision = Literal["fp32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32}
"""Types of the weights stored in a bundle. int8 weights are computed from float32 when the bundle is loaded."""

SMALLEST_SCALE = torch.finfo(torch.float32).tiny
"""Keeps scales above zero, so that they can be divided by."""


class Int8Linear(nn.Module):
    """A linear layer that rounds its weights, and its input token by token, to int8. Its output is float32."""

    weight: Tensor
    scale: Tensor
    sums: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp_(min=SMALLEST_SCALE) / 127
        numbers = (weight / scale[:, None]).round_().to(torch.int8)
        self.register_buffer("weight", numbers)
        self.register_buffer("scale", scale)
        self.register_buffer("sums", numbers.sum(dim=1) * scale)
        self.register_buffer("bias", torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().float())

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., n) to (..., m)."""
        flat = inputs.reshape(-1, inputs.shape[-1])
        return self.multiply(*rounded(flat.float())).view(*inputs.shape[:-1], -1)

    def multiply(self, numbers: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """(N, n) int8 from ``rounded`` to (N, m): W (scale * numbers + zero) + bias."""
        products = torch._int_mm(numbers, self.weight.t()).float().mul_(self.scale)
        return torch.addcmul(self.bias, zero, self.sums).addcmul_(products, scale)


def rounded(inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, n) float32 rounded to int8 numbers with (N, 1) scale and zero: inputs ~ numbers * scale + zero."""
    low, high = inputs.amin(dim=1, keepdim=True), inputs.amax(dim=1, keepdim=True)
    scale = (high - low).clamp_(min=SMALLEST_SCALE) / 255
    zero = low + 128 * scale
    # Not addcmul, which takes three times as long where two of the three operands are columns.
    return (inputs - zero).mul_(scale.reciprocal()).round_().to(torch.int8), scale, zero


def linear_all(linears: Sequence[nn.Module], inputs: Tensor) -> list[Tensor]:
    """Outputs of several linear layers for the same (N, n) inputs, which are rounded to int8 once."""
    if not all(isinstance(linear, Int8Linear) for linear in linears):
        return [linear(inputs) for linear in linears]
    numbers = rounded(inputs.float())
    return [cast(Int8Linear, linear).multiply(*numbers) for linear in linears]


def converted(backbone: nn.Module, precision: Precision) -> nn.Module:
    """A copy of ``backbone`` that computes in ``precision``; unchanged weights are shared with it.

    Raises ExpectedError where it holds an adapter or, for int8, no linear layers.
    """
    dtype = DTYPES[precision]
    if precision != "fp32" and hasattr(backbone, "peft_config"):
        raise ExpectedError(f"a base model with an adapter beside it is not served in {precision}; use fp32")
    if any(weight.dtype != dtype for weight in backbone.parameters()):
        backbone = copy.deepcopy(backbone).to(dtype)
    return _with_int8(backbone) if precision == "int8" else backbone


def _with_int8(backbone: nn.Module) -> nn.Module:
    shared = {id(tensor): tensor for tensor in (*backbone.parameters(), *backbone.buffers())}
    module = copy.deepcopy(backbone, shared)
    found = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]
    if not found:
        kind = getattr(getattr(module, "config", None), "model_type", type(module).__name__)
        raise ExpectedError(f"a base model of type {kind} has no linear layers to serve in int8; use bf16 or fp32")
    for parent, name, child in found:
        setattr(parent, name, Int8Linear(child))
    return module


def int8_bytes(module: nn.Module) -> int:
    """Bytes of the int8 weights in ``module``, of which every process holds its own copy."""
    layers = [layer for layer in module.modules() if isinstance(layer, Int8Linear)]
    return sum(buffer.nbytes for layer in layers for buffer in layer.buffers())
