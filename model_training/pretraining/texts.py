"""The unlabelled texts: every history known by a date, each once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from model_training.data.dataset import TrainingSet, held_out
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered, render
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.encoder.tokenizing import tokenize

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """Distinct texts; ``held_out`` are those of users that are not trained on."""

    texts: Sequence[Rendered]
    tokens: Tokens
    fit: Rows
    held_out: Rows


def read_corpus(
    training_set: TrainingSet, cut: date, held_out_share: float, tokenizer: PreTrainedTokenizerBase, spec: TextSpec
) -> Corpus:
    """Histories as of ``cut`` or before, longest held-out text first.

    Raises ExpectedError where nobody is left on either side.
    """
    rows = training_set.rows[training_set.rows["as_of_date"] <= cut].drop_duplicates("history_hash")
    chosen = held_out(rows, held_out_share)
    if chosen.all() or not chosen.any():
        raise ExpectedError(
            f"pre-training: {chosen.sum()} of {len(chosen)} texts are held out; load more data or change held_out_share"
        )
    texts = [render(history, spec) for history in rows["history"]]
    tokens = tokenize(tokenizer, texts, spec)
    numbers = np.flatnonzero(chosen)
    longest_first = numbers[np.argsort(-tokens.lengths[numbers], kind="stable")]
    return Corpus(texts, tokens, np.flatnonzero(~chosen), longest_first)
