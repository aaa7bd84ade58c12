"""A denoising autoencoder: some words are deleted, and the whole text is rebuilt from the vector of the others.

Wang, Reimers and Gurevych, "TSDAE: Using Transformer-based Sequential Denoising Auto-Encoder for Unsupervised Sentence
Embedding Learning" (2021), arXiv 2104.06979. The small decoder is our own, so that any family of base can learn.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from model_training.pretraining.texts import Corpus
from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered
from ulvspark.model.encoder.batching import pad
from ulvspark.model.encoder.text_encoder import pool
from ulvspark.model.encoder.tokenizing import tokenize

IGNORED = -100


class DenoisingAutoencoder(nn.Module):
    """A base whose tokens are pooled into one vector, and a decoder that sees that vector and the earlier tokens."""

    def __init__(self, backbone: nn.Module, pooling: str, max_tokens: int, layers: int) -> None:
        super().__init__()
        config: Any = backbone.config
        size = config.hidden_size
        self.backbone, self.pooling = backbone, pooling
        self.positions = nn.Embedding(max_tokens, size)
        layer = nn.TransformerDecoderLayer(
            size, config.num_attention_heads, 4 * size, activation="gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(size))
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Noisy texts (B, T) and whole ones (B, S), IGNORED where padded, to the mean loss of a token."""
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **segments).last_hidden_state
        vector = pool(states, attention_mask, self.pooling)
        return {"loss": self._rebuild(vector, labels[:, :-1].clamp(min=0), labels[:, 1:])}

    def _rebuild(self, vector: Tensor, before: Tensor, wanted: Tensor) -> Tensor:
        embed = self.backbone.get_input_embeddings()  # type: ignore[operator]
        length = before.shape[1]
        seen = embed(before) + self.positions(torch.arange(length, device=before.device))
        later = nn.Transformer.generate_square_subsequent_mask(length, device=before.device, dtype=seen.dtype)
        states = self.decoder(seen, vector.unsqueeze(1), tgt_mask=later, tgt_is_causal=True)
        logits = F.linear(states, embed.weight, self.bias)
        return F.cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)

    def activation_checkpointing_enable(self, **how: Any) -> None:  # noqa: ANN401 - passed on as it is
        """Trade time for memory in the base; Trainer calls this."""
        backbone: Any = self.backbone
        backbone.activation_checkpointing_enable(**how)


class Noise:
    """Collates texts after deleting some of their words: always the same words of a held-out text."""

    def __init__(self, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, spec: TextSpec, share: float) -> None:
        self._corpus, self._tokenizer, self._spec, self._share = corpus, tokenizer, spec, share
        self._held_out = set(corpus.held_out.tolist())

    def __call__(self, rows: Sequence[int]) -> dict[str, Tensor]:
        pad_token_id = int(self._tokenizer.pad_token_id)
        noisy = tokenize(self._tokenizer, [self._noisy(row) for row in rows], self._spec)
        whole = pad(self._corpus.tokens, rows, pad_token_id)
        labels = whole["input_ids"].masked_fill(whole["attention_mask"] == 0, IGNORED)
        return {**pad(noisy, range(len(rows)), pad_token_id), "labels": labels}

    def _noisy(self, row: int) -> Rendered:
        # Drawn from the global generator, since Trainer keeps its state in the checkpoints.
        seed = row if row in self._held_out else int(torch.randint(2**62, ()))
        text, random = self._corpus.texts[row], np.random.default_rng(seed)
        words = text.events.split(" ")
        kept = [word for word in words if random.random() > self._share] or words[:1]
        return Rendered(text.profile, " ".join(kept), ())
