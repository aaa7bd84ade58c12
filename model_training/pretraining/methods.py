"""The two methods of pre-training: for each, the model that learns and the collator that disturbs its texts."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from model_training.finetuning.bases import load_base, resolve_base
from model_training.pretraining.config import PretrainConfig
from model_training.pretraining.denoising import DenoisingAutoencoder, Noise
from model_training.pretraining.masking import Masking, load_masked_model
from model_training.pretraining.texts import Corpus
from ulvspark.model.encoder.tokenizing import check_fit

Collator = Callable[[Sequence[int]], dict[str, Tensor]]
"""Makes a batch of the texts with these numbers."""


def load_model(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[nn.Module, bool]:
    """The model that learns, and whether the head that guesses tokens is new. Raises ExpectedError for a wrong base."""
    if config.method == "mlm":
        model, new_head = load_masked_model(resolve_base(config.base), tokenizer)
        check_fit(tokenizer, model, config.text)
        return model, new_head
    backbone = load_base(config.base, config.text, config.pooling).backbone
    return DenoisingAutoencoder(backbone, config.pooling, config.text.max_tokens, config.decoder_layers), True


def make_collator(config: PretrainConfig, corpus: Corpus, tokenizer: PreTrainedTokenizerBase) -> Collator:
    """Masks tokens or deletes words, as the method says."""
    if config.method == "mlm":
        return Masking(corpus, tokenizer, config.mask_share)
    return Noise(corpus, tokenizer, config.text, config.delete_share)
