"""What the machine allows: bare matrix products of the shapes that a base encoder needs."""

import statistics
import time
from collections.abc import Callable, Collection

import torch
from torch import nn
from torch.nn import functional as F

from ulvspark.model.precision import PRECISIONS, Int8Linear, Precision

ROWS = 2048
Product = Callable[[], torch.Tensor]


def rates(base: nn.Module, rounds: int, precisions: Collection[Precision] = PRECISIONS) -> dict[Precision, float]:
    """Tokens a second that this process could read if only the layers' matrix products had to be computed.

    The median of ``rounds``, after one that warms up.
    """
    shapes = [tuple(layer.weight.shape) for layer in base.modules() if isinstance(layer, nn.Linear | Int8Linear)]
    products = {name: {shape: _PRODUCTS[name](*shape) for shape in set(shapes)} for name in precisions}
    seconds: dict[Precision, list[float]] = {name: [] for name in precisions}
    for _ in range(rounds + 1):
        for name, of_shape in products.items():
            seconds[name].append(sum(shapes.count(shape) * _timed(product) for shape, product in of_shape.items()))
    return {name: ROWS / statistics.median(each[1:]) for name, each in seconds.items()}


def _timed(product: Product) -> float:
    started = time.perf_counter()
    product()
    return time.perf_counter() - started


def _floats(outputs: int, inputs: int, dtype: torch.dtype = torch.float32) -> Product:
    rows, weight = torch.randn(ROWS, inputs).to(dtype), torch.randn(outputs, inputs).to(dtype)
    return lambda: F.linear(rows, weight)


def _int8(outputs: int, inputs: int) -> Product:
    rows, weight = (torch.randint(-127, 127, (n, inputs), dtype=torch.int8) for n in (ROWS, outputs))
    return lambda: torch._int_mm(rows, weight.t())


_PRODUCTS: dict[Precision, Callable[[int, int], Product]] = {
    "fp32": _floats,
    "bf16": lambda outputs, inputs: _floats(outputs, inputs, torch.bfloat16),
    "int8": _int8,
}
