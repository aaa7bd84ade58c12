"""Texts to token ids, and token ids to batches that waste little padding. Training and scoring share it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered
from ulvspark.model.backbone import max_positions

TOKEN_BUDGET = 8192
"""Tokens in a batch, padding among them: more gains nothing on a CPU and costs memory."""

MAX_BATCH = 256


@dataclass(frozen=True)
class Tokens:
    """Ragged token ids of n texts, and their segments where the tokenizer knows segments."""

    input_ids: list[list[int]]
    token_type_ids: list[list[int]] | None

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return np.array([len(ids) for ids in self.input_ids], dtype=np.int64)


def load_tokenizer(name_or_folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder (or a name in the local cache), ready to pad and to cut on the right.

    Raises ExpectedError where it is not there, is a slow one or has nothing to pad with.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(name_or_folder), trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ExpectedError(f"cannot load the tokenizer of {name_or_folder}: {reason}") from error
    if not tokenizer.is_fast:
        raise ExpectedError(f"the tokenizer of {name_or_folder} is a slow one; give a model with a tokenizer.json")
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ExpectedError(f"the tokenizer of {name_or_folder} has neither padding nor end token; set one")
        # GPT-like models pad with anything, since the mask hides it.
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    return tokenizer


def check_fit(tokenizer: PreTrainedTokenizerBase, backbone: nn.Module, spec: TextSpec) -> None:
    """Raises ExpectedError where the base model cannot read what the tokenizer writes."""
    config = backbone.config
    positions = max_positions(backbone)
    if len(tokenizer) > config.vocab_size:  # type: ignore[union-attr, operator]
        raise ExpectedError(
            f"the tokenizer has {len(tokenizer)} tokens but the base model embeds {config.vocab_size};"  # type: ignore[union-attr]
            " give the tokenizer that belongs to the model"
        )
    if positions is not None and spec.max_tokens > positions:
        raise ExpectedError(f"text.max_tokens is {spec.max_tokens} but the base model reads {positions}; lower it")
    if _has_segments(tokenizer) and getattr(config, "type_vocab_size", 0) < 2:
        raise ExpectedError("the tokenizer writes two segments but the base model embeds none; give its own tokenizer")


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Rendered], spec: TextSpec) -> Tokens:
    """Profile as segment A, events as segment B; the oldest events are cut at ``spec.max_tokens``."""
    if not texts:
        return Tokens([], [] if _has_segments(tokenizer) else None)
    profiles = _fitting_profiles(tokenizer, [text.profile for text in texts], spec.max_tokens)
    encoded = tokenizer(
        profiles,
        [text.events for text in texts],
        truncation="only_second",
        max_length=spec.max_tokens,
        return_attention_mask=False,
        return_token_type_ids=_has_segments(tokenizer),
    )
    return Tokens(encoded["input_ids"], encoded.get("token_type_ids"))


def tokenize_single(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], spec: TextSpec) -> Tokens:
    """Each text as the only segment, cut at ``spec.max_tokens``."""
    if not texts:
        return Tokens([], [] if _has_segments(tokenizer) else None)
    encoded = tokenizer(
        list(texts),
        truncation=True,
        max_length=spec.max_tokens,
        return_attention_mask=False,
        return_token_type_ids=_has_segments(tokenizer),
    )
    return Tokens(encoded["input_ids"], encoded.get("token_type_ids"))


def _has_segments(tokenizer: PreTrainedTokenizerBase) -> bool:
    return "token_type_ids" in tokenizer.model_input_names


def _fitting_profiles(tokenizer: PreTrainedTokenizerBase, profiles: list[str], max_tokens: int) -> list[str]:
    """Profiles cut to half of the tokens, special ones among them, so that the events can always be cut to the rest."""
    special = tokenizer.num_special_tokens_to_add(pair=True)
    limit = max(0, max_tokens // 2 - special)
    distinct = list(dict.fromkeys(profiles))
    encoded = tokenizer(distinct, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    # Without separator tokens (GPT-2) the two segments would run into each other.
    separator = "" if special else "\n"
    fitting = {}
    for profile, offsets in zip(distinct, encoded["offset_mapping"], strict=True):
        end = len(profile) if len(offsets) <= limit else offsets[limit][0]
        fitting[profile] = profile[:end] + separator
    return [fitting[profile] for profile in profiles]


def batches(
    lengths: npt.NDArray[np.int64], token_budget: int = TOKEN_BUDGET, max_batch: int = MAX_BATCH
) -> list[npt.NDArray[np.int64]]:
    """Row numbers grouped by similar length, longest first, each group padded within the budget (or a single row).

    Every row is in exactly one group, so ``out[rows] = results`` undoes the order.
    """
    order = np.argsort(-lengths, kind="stable")
    groups, start = [], 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        size = min(max(token_budget // longest, 1), max_batch)
        groups.append(order[start : start + size])
        start += size
    return groups


def pad(tokens: Tokens, rows: npt.NDArray[np.int64] | Sequence[int], pad_token_id: int) -> dict[str, Tensor]:
    """The network's token inputs for ``rows``, each (B, T) int64, padded on the right to the longest of them."""
    ids = [torch.tensor(tokens.input_ids[row]) for row in rows]
    padded = nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=pad_token_id)
    lengths = torch.tensor([len(each) for each in ids])
    inputs = {"input_ids": padded, "attention_mask": (torch.arange(padded.shape[1]) < lengths[:, None]).long()}
    if tokens.token_type_ids is not None:
        segments = [torch.tensor(tokens.token_type_ids[row]) for row in rows]
        inputs["token_type_ids"] = nn.utils.rnn.pad_sequence(segments, batch_first=True)
    return inputs
