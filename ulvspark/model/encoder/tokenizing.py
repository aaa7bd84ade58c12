"""Turns texts into token ids. Training and scoring share it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered
from ulvspark.model.encoder.backbone import max_positions
from ulvspark.model.encoder.batching import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(name_or_folder: str | Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a folder (or a name in the local cache), set to pad and truncate on the right.

    Raises ExpectedError where it is missing, is a slow one or has no token to pad with.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415 - takes a second, and not every process reads text

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
        # Any token will do for GPT-like models, since the attention mask hides it.
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    return tokenizer


def check_fit(tokenizer: "PreTrainedTokenizerBase", backbone: nn.Module, spec: TextSpec) -> None:
    """Raises ExpectedError where the tokenizer does not fit the base model, or ``spec`` asks for too long texts."""
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


def tokenize(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[Rendered], spec: TextSpec) -> Tokens:
    """Token ids with the profile as segment A and the events as segment B; the oldest events are cut off.

    No text is longer than ``spec.max_tokens``.
    """
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


def tokenize_single(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], spec: TextSpec) -> Tokens:
    """Token ids of texts with a single segment, cut off at ``spec.max_tokens``."""
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


def _has_segments(tokenizer: "PreTrainedTokenizerBase") -> bool:
    return "token_type_ids" in tokenizer.model_input_names


def _fitting_profiles(tokenizer: "PreTrainedTokenizerBase", profiles: list[str], max_tokens: int) -> list[str]:
    """Profiles cut to half of ``max_tokens``, special tokens included, so that events always keep the other half."""
    special = tokenizer.num_special_tokens_to_add(pair=True)
    limit = max(0, max_tokens // 2 - special)
    distinct = list(dict.fromkeys(profiles))
    encoded = tokenizer(distinct, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    # Where the tokenizer writes no separator token (GPT-2), a line break keeps the two segments apart.
    separator = "" if special else "\n"
    fitting = {}
    for profile, offsets in zip(distinct, encoded["offset_mapping"], strict=True):
        end = len(profile) if len(offsets) <= limit else offsets[limit][0]
        fitting[profile] = profile[:end] + separator
    return [fitting[profile] for profile in profiles]
