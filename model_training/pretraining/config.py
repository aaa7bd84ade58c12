"""What a pre-training is made of: ``conf/pretrain.yaml``."""

from typing import Literal

from pydantic import Field

from model_training.finetuning.config import Optimiser
from ulvspark.contract.config import Strict
from ulvspark.contract.spec import TextSpec


class PretrainConfig(Strict):
    """One of two ways to learn from texts alone."""

    base: str = "minilm"
    """As for fine-tuning: a folder, a Hugging Face name, or ``minilm``."""
    method: Literal["mlm", "denoise"] = "mlm"
    """``mlm``: guess masked tokens. ``denoise``: delete words, rebuild the text from its vector."""
    text: TextSpec = Field(default_factory=lambda: TextSpec.model_validate({}))
    pooling: Literal["mean", "cls", "last"] = "mean"
    """Of denoising: how tokens become the text's vector. As in the fine-tuning that follows."""
    mask_share: float = Field(0.15, gt=0, lt=1)
    delete_share: float = Field(0.6, gt=0, lt=1)
    """Share of words deleted; 0.6 was best in the paper of the method."""
    decoder_layers: int = Field(1, ge=1)
    """Of denoising; the decoder is thrown away afterwards."""
    held_out_share: float = Field(0.05, gt=0, lt=1)
    optimiser: Optimiser
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    tf32: bool = True
    gradient_checkpointing: bool = False
    seed: int = 7
