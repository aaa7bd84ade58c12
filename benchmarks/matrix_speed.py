"""What the machine allows: the speed of bare matrix products of the shapes that a base encoder needs."""

import statistics
import time
from collections.abc import Callable, Collection
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from ulvspark.model.encoder.precision import PRECISIONS, Int8Linear, Precision

ROWS = {"cpu": 2048, "cuda": 8192}
"""Tokens that are multiplied at once."""

Product = Callable[[], torch.Tensor]


def tokens_per_second(
    base: nn.Module, rounds: int, precisions: Collection[Precision] = PRECISIONS
) -> dict[Precision, float]:
    """Tokens a second that this process could read if only the layers' matrix products had to be computed.

    Measured on the device that holds ``base``: the median of ``rounds``, after one round to warm up.
    """
    shapes = [tuple(layer.weight.shape) for layer in base.modules() if isinstance(layer, nn.Linear | Int8Linear)]
    device = next(base.parameters()).device
    rows = ROWS[device.type]
    products = {
        name: {shape: _PRODUCTS[name](rows, shape[0], shape[1], device) for shape in sorted(set(shapes))}
        for name in precisions
    }
    seconds: dict[Precision, list[float]] = {name: [] for name in precisions}
    for _ in range(rounds + 1):
        for name, by_shape in products.items():
            timed = (shapes.count(shape) * _timed(product, device) for shape, product in by_shape.items())
            seconds[name].append(sum(timed))
    return {name: rows / statistics.median(each[1:]) for name, each in seconds.items()}


def _timed(product: Product, device: torch.device) -> float:
    started = time.perf_counter()
    product()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _floats(rows: int, outputs: int, inputs: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Product:
    left, weight = (torch.randn(n, inputs, device=device, dtype=dtype) for n in (rows, outputs))
    return lambda: F.linear(left, weight)


def _int8(rows: int, outputs: int, inputs: int, device: torch.device) -> Product:
    left, weight = (torch.randint(-127, 127, (n, inputs), dtype=torch.int8, device=device) for n in (rows, outputs))
    return lambda: torch._int_mm(left, weight.t())


_PRODUCTS: dict[Precision, Callable[[int, int, int, torch.device], Product]] = {
    "fp32": _floats,
    "bf16": partial(_floats, dtype=torch.bfloat16),
    "int8": _int8,
}
