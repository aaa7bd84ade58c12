"""What the machine allows: bare matrix products of the shapes that the base encoder needs."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

ROWS = 2048
Product = Callable[[], torch.Tensor]


def rates(base: nn.Module, rounds: int) -> dict[str, float]:
    """Tokens a second that this thread could read if only the layers' matrix products had to be computed."""
    linears = [layer for layer in base.modules() if isinstance(layer, nn.Linear)]
    shapes = {layer.weight.shape for layer in linears}
    counts = {shape: sum(layer.weight.shape == shape for layer in linears) for shape in shapes}
    products = {name: {shape: make(*shape) for shape in shapes} for name, make in KINDS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(rounds + 1):
        for name, of_shape in products.items():
            seconds[name].append(sum(counts[shape] * timed(product) for shape, product in of_shape.items()))
    return {name: ROWS / statistics.median(each[1:]) for name, each in seconds.items()}


def timed(product: Product) -> float:
    started = time.perf_counter()
    product()
    return time.perf_counter() - started


def floats(outputs: int, inputs: int, dtype: torch.dtype = torch.float32) -> Product:
    rows, weight = torch.randn(ROWS, inputs).to(dtype), torch.randn(outputs, inputs).to(dtype)
    return lambda: F.linear(rows, weight)


def int8(outputs: int, inputs: int) -> Product:
    rows, weight = (torch.randint(-127, 127, (n, inputs), dtype=torch.int8) for n in (ROWS, outputs))
    return lambda: torch._int_mm(rows, weight.t())


KINDS: dict[str, Callable[[int, int], Product]] = {
    "fp32": floats,
    "bf16": lambda outputs, inputs: floats(outputs, inputs, torch.bfloat16),
    "int8": int8,
}
