"""Value tiers by a prompt: the base's own head for masked words fills in what a customer is worth.

"This customer is worth [MASK]." is put before a history, and the words that stand for the tiers compete for the blank.
Schick and Schütze (2021), "Exploiting Cloze Questions for Few Shot Text Classification and Natural Language Inference",
arXiv 2001.07676. Nothing is learned anew but the base itself, so a handful of labels is a start. The base needs a
trained head: that of a model of words, or of ``model_training.pretrain`` (which keeps it).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from model_training.data.dataset import Rows
from model_training.data.outcome import Floats
from model_training.finetuning.bases import resolve_base
from model_training.pretraining.masking import load_masked_model
from model_training.runs.progress import track
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered
from ulvspark.model.encoder.batching import Tokens, batches, pad
from ulvspark.model.encoder.tokenizing import load_tokenizer, tokenize

PROMPT = "this customer is worth {mask} ."
TIER_WORDS = ("little", "something", "much")
"""The words that stand for the tiers, lowest first; each must be one token of the base."""

BATCH = 16


@dataclass(frozen=True)
class Cloze:
    """A base with its head for masked words, and the tokens that stand for the tiers (K,)."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    words: Tensor
    text: TextSpec

    def read(self, texts: Sequence[Rendered]) -> Tokens:
        """The texts behind the prompt, which is never cut: it stands before the profile."""
        prompt = PROMPT.format(mask=self.tokenizer.mask_token)
        return tokenize(
            self.tokenizer, [replace(text, profile=f"{prompt} {text.profile}") for text in texts], self.text
        )

    def scores(self, tokens: Tokens, rows: Rows) -> Tensor:
        """(B, K) logits of the tiers' words in the blank of each of ``rows``."""
        inputs = pad(tokens, rows, int(self.tokenizer.pad_token_id))
        blank = (inputs["input_ids"] == self.tokenizer.mask_token_id).int().argmax(dim=1)
        rows_of_batch = torch.arange(len(rows))

        def keep_blank(_module: nn.Module, _inputs: Any, output: Any) -> Any:  # noqa: ANN401 - as torch has it
            output.last_hidden_state = output.last_hidden_state[rows_of_batch, blank].unsqueeze(1)
            return output

        # The head would guess at every token, which costs more than the base itself.
        hook = self.model.base_model.register_forward_hook(keep_blank)  # type: ignore[union-attr]
        try:
            output: Any = self.model(**inputs)
        finally:
            hook.remove()
        logits: Tensor = output.logits
        return logits[:, 0, self.words].float()


def load_cloze(base: str, text: TextSpec, words: Sequence[str] = TIER_WORDS) -> Cloze:
    """Load ``base`` with its head.

    Raises ExpectedError where the base has no trained head, or one of ``words`` is not a single token of it.
    """
    place = resolve_base(base)
    tokenizer = load_tokenizer(place)
    model, new_head = load_masked_model(place, tokenizer)
    if new_head:
        raise ExpectedError(
            f"{base} came without its head for masked words, so the blank would be filled at random; run "
            "model_training.pretrain (method mlm) and give what it wrote as the base"
        )
    return Cloze(model, tokenizer, _tokens(tokenizer, words), text)


def _tokens(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> Tensor:
    token_ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    split = [word for word, ids in zip(words, token_ids, strict=True) if len(ids) != 1]
    if split:
        raise ExpectedError(f"words {', '.join(split)} are not single tokens of this base; choose others")
    return torch.tensor([ids[0] for ids in token_ids])


def fit(cloze: Cloze, tokens: Tokens, tier: Rows, epochs: int, learning_rate: float, seed: int = 0) -> None:
    """Tune the base so that the right word wins the blank of all ``tokens``; ``tier`` (n,) is what each ended in."""
    torch.manual_seed(seed)
    dice = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(cloze.model.parameters(), learning_rate, weight_decay=0.01)
    cloze.model.train()
    for _ in track(range(epochs), "cloze", "epoch"):
        order = dice.permutation(len(tier))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            loss = F.cross_entropy(cloze.scores(tokens, rows), torch.from_numpy(tier[rows]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(cloze.model.parameters(), 1.0)
            optimiser.step()


def tier_probabilities(cloze: Cloze, tokens: Tokens) -> Floats:
    """(n, K) of all ``tokens``, rows sum to 1."""
    probabilities = np.empty((len(tokens.input_ids), len(cloze.words)))
    cloze.model.eval()
    with torch.inference_mode():
        for rows in batches(tokens.lengths):
            probabilities[rows] = cloze.scores(tokens, rows).double().softmax(dim=1).numpy()
    return probabilities
