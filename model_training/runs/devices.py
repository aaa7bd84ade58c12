"""The processes and the device that train, and the precision that they train in."""

import resource
from contextlib import AbstractContextManager

import torch
from accelerate import PartialState

from ulvspark.contract.errors import ExpectedError


def processes() -> PartialState:
    """The state of this process among those that torchrun or accelerate started; otherwise it is the only one."""
    return PartialState(cpu=not torch.cuda.is_available())


def bf16_is_fast() -> bool:
    """Whether the hardware multiplies bf16 matrices itself instead of converting them first."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def chosen_precision(wanted: str) -> str:
    """fp32, bf16 or fp16. Raises ExpectedError for fp16 on a CPU: small gradients would become 0 without scaling."""
    if wanted == "fp16" and not torch.cuda.is_available():
        raise ExpectedError("precision fp16 needs an NVIDIA GPU; use auto, bf16 or fp32 on a CPU")
    if wanted == "auto":
        return "bf16" if bf16_is_fast() else "fp32"
    return wanted


def autocast(precision: str) -> AbstractContextManager[None]:
    """Compute a block in ``precision``."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
    return torch.autocast(processes().device.type, dtype=dtype, enabled=precision != "fp32")


def peak_memory_gb() -> float:
    """The most memory this process has held: on the GPU where there is one, otherwise in main memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
