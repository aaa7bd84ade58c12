"""Turns texts into token ids. Training and scoring share it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tokenizers import Encoding, Tokenizer
from torch import nn

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered
from ulvspark.model.encoder.backbone import max_positions
from ulvspark.model.encoder.batching import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class AnyTokenizer(Protocol):
    """What is needed of a tokenizer to turn texts into token ids; Hugging Face's have it, and ``ServedTokenizer``."""

    @property
    def backend_tokenizer(self) -> Tokenizer: ...

    @property
    def model_input_names(self) -> list[str]: ...

    @property
    def pad_token_id(self) -> int: ...


@dataclass(frozen=True)
class ServedTokenizer:
    """The tokenizer of a bundle, read without importing transformers, which takes seconds."""

    backend_tokenizer: Tokenizer
    model_input_names: list[str]
    pad_token_id: int


def load_tokenizer(name_or_folder: str | Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a folder (or a name in the local cache), set to pad and truncate on the right.

    Raises ExpectedError where it is missing, is a slow one or has no token to pad with.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds, and scoring needs none of it

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


def save_tokenizer(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Write ``tokenizer`` into ``folder`` for ``read_tokenizer`` and, as any of Hugging Face's, ``load_tokenizer``."""
    # A tokenizer saves how it last truncated and padded, which would change the encoder's version.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    # Otherwise only Hugging Face's class of the tokenizer would say them.
    tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    tokenizer.save_pretrained(folder)


def read_tokenizer(folder: Path) -> ServedTokenizer:
    """The tokenizer that ``save_tokenizer`` wrote into ``folder``."""
    core = Tokenizer.from_file(str(folder / "tokenizer.json"))
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    pad_token_id = core.token_to_id(settings["pad_token"])
    assert pad_token_id is not None  # noqa: S101 - a tokenizer knows its own tokens
    return ServedTokenizer(core, settings["model_input_names"], pad_token_id)


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


def tokenize(tokenizer: AnyTokenizer, texts: Sequence[Rendered], spec: TextSpec) -> Tokens:
    """Token ids with the profile as segment A and the events as segment B; the oldest events are cut off.

    No text is longer than ``spec.max_tokens``.
    """
    profiles = _fitting_profiles(tokenizer, [text.profile for text in texts], spec.max_tokens)
    pairs = list(zip(profiles, [text.events for text in texts], strict=True))
    tokenizer.backend_tokenizer.enable_truncation(spec.max_tokens, strategy="only_second")
    return _tokens(tokenizer, pairs)


def tokenize_single(tokenizer: AnyTokenizer, texts: Sequence[str], spec: TextSpec) -> Tokens:
    """Token ids of texts with a single segment, cut off at ``spec.max_tokens``."""
    tokenizer.backend_tokenizer.enable_truncation(spec.max_tokens)
    return _tokens(tokenizer, list(texts))


def _tokens(tokenizer: AnyTokenizer, texts: list[str] | list[tuple[str, str]]) -> Tokens:
    encoded = _encode(tokenizer, texts)
    segments = [each.type_ids for each in encoded] if _has_segments(tokenizer) else None
    return Tokens([each.ids for each in encoded], segments)


def _encode(
    tokenizer: AnyTokenizer, texts: list[str] | list[tuple[str, str]], add_special_tokens: bool = True
) -> list[Encoding]:
    # Some come with padding to a fixed length.
    tokenizer.backend_tokenizer.no_padding()
    encoded: list[Encoding] = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens)
    return encoded


def _has_segments(tokenizer: AnyTokenizer) -> bool:
    return "token_type_ids" in tokenizer.model_input_names


def _fitting_profiles(tokenizer: AnyTokenizer, profiles: list[str], max_tokens: int) -> list[str]:
    """Profiles cut to half of ``max_tokens``, special tokens included, so that events always keep the other half."""
    special = tokenizer.backend_tokenizer.num_special_tokens_to_add(is_pair=True)
    limit = max(0, max_tokens // 2 - special)
    distinct = list(dict.fromkeys(profiles))
    tokenizer.backend_tokenizer.no_truncation()
    encoded = _encode(tokenizer, distinct, add_special_tokens=False)
    # Where the tokenizer writes no separator token (GPT-2), a line break keeps the two segments apart.
    separator = "" if special else "\n"
    fitting = {}
    for profile, tokens in zip(distinct, encoded, strict=True):
        end = len(profile) if len(tokens) <= limit else tokens.offsets[limit][0]
        fitting[profile] = profile[:end] + separator
    return [fitting[profile] for profile in profiles]
