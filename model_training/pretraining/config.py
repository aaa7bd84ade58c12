"""The configuration of a pre-training: ``conf/pretrain.yaml``."""

from typing import Literal

from pydantic import Field

from model_training.finetuning.config import Optimiser
from ulvspark.contract.config import Seed, Strict
from ulvspark.contract.spec import TextSpec


class PretrainConfig(Strict):
    """How a base learns from texts alone, by one of two methods."""

    base: str = "minilm"
    """A folder, a Hugging Face name, or ``minilm``, as for fine-tuning."""
    method: Literal["mlm", "denoise"] = "mlm"
    """``mlm``: guess masked tokens. ``denoise``: delete words, rebuild the text from its vector."""
    text: TextSpec
    pooling: Literal["mean", "cls", "last"] = "mean"
    """Of ``denoise``: how tokens become the vector of the text. Take the one of the fine-tuning that follows."""
    mask_share: float = Field(0.15, gt=0, lt=1)
    delete_share: float = Field(0.6, gt=0, lt=1)
    """Share of words that ``denoise`` deletes; 0.6 was best in the paper of the method."""
    decoder_layers: int = Field(1, ge=1)
    """Of the decoder of ``denoise``, which is thrown away afterwards."""
    held_out_share: float = Field(0.05, gt=0, lt=1)
    optimiser: Optimiser
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    tf32: bool = True
    gradient_checkpointing: bool = False
    seed: Seed = 7
