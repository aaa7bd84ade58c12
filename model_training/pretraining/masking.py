"""Masked language modelling (Devlin et al. 2018, arXiv 1810.04805): guess hidden tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import (
    AutoModelForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from model_training.pretraining.texts import Corpus
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.encoder.batching import pad
from ulvspark.model.encoder.quiet import quiet_transformers


def load_masked_model(place: str, tokenizer: PreTrainedTokenizerBase) -> tuple[PreTrainedModel, bool]:
    """The base with a head that guesses tokens, and whether that head is new because the base came without one.

    Raises ExpectedError where the base has no mask token, or its family has no such head.
    """
    if tokenizer.mask_token is None:
        raise ExpectedError(f"{place} has no mask token, as GPT-like models don't; use method: denoise")
    try:
        with quiet_transformers():
            model, report = AutoModelForMaskedLM.from_pretrained(
                place, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
    except (OSError, ValueError) as error:
        raise ExpectedError(f"cannot load {place} for method mlm: {' '.join(str(error).split())}") from error
    return model, bool(report["missing_keys"])


class Masking:
    """Collates texts with some of their tokens hidden: always the same tokens of a held-out text."""

    def __init__(self, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, share: float) -> None:
        self._tokens, self._pad_token_id = corpus.tokens, int(tokenizer.pad_token_id)
        self._held_out = set(corpus.held_out.tolist())
        self._mask = DataCollatorForLanguageModeling(tokenizer, mlm_probability=share)

    def __call__(self, rows: Sequence[int]) -> dict[str, Tensor]:
        inputs = pad(self._tokens, rows, self._pad_token_id)
        # None means the global generator, whose state Trainer keeps in the checkpoints.
        fixed = rows[0] in self._held_out
        self._mask.generator = torch.Generator().manual_seed(rows[0]) if fixed else None
        hidden, labels = self._mask.torch_mask_tokens(inputs["input_ids"])
        labels[inputs["attention_mask"] == 0] = -100
        return {**inputs, "input_ids": hidden, "labels": labels}
