"""The texts of a pre-training: the histories as of a date and earlier ones, without labels and each once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from transformers import PreTrainedTokenizerBase

from model_training.data.dataset import Rows, TrainingSet, held_out
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered, render
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.encoder.tokenizing import tokenize


@dataclass(frozen=True)
class Corpus:
    """Distinct texts. ``fit`` and ``held_out`` are their numbers; the users of the latter are not trained on."""

    texts: Sequence[Rendered]
    tokens: Tokens
    fit: Rows
    held_out: Rows


def read_corpus(
    training_set: TrainingSet, cut: date, held_out_share: float, tokenizer: PreTrainedTokenizerBase, spec: TextSpec
) -> Corpus:
    """The histories as of ``cut`` and earlier dates; of the held-out texts the longest comes first.

    Raises ExpectedError where no text is left to fit to, or none is held out.
    """
    rows = training_set.rows[training_set.rows["as_of_date"] <= cut].drop_duplicates("history_hash")
    is_held_out = held_out(rows, held_out_share)
    if is_held_out.all() or not is_held_out.any():
        raise ExpectedError(
            f"pre-training: {is_held_out.sum()} of {len(is_held_out)} texts are held out; load more data or change "
            "held_out_share"
        )
    texts = [render(history, spec) for history in rows["history"]]
    tokens = tokenize(tokenizer, texts, spec)
    numbers = np.flatnonzero(is_held_out)
    longest_first = numbers[np.argsort(-tokens.lengths[numbers], kind="stable")]
    return Corpus(texts, tokens, np.flatnonzero(~is_held_out), longest_first)
