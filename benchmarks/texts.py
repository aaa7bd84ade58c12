"""What every way of scoring reads in the benchmark: users' texts and numbers."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from model_training.data.dataset import read_training_set
from ulvspark.contract.spec import HistorySpec, TextSpec
from ulvspark.history.population import Population
from ulvspark.history.text import Rendered, render
from ulvspark.model.bundle import golden_users
from ulvspark.model.encoder.tokenizing import tokenize

MEAN_TOKENS, SIGMA = 73, 0.6


@dataclass(frozen=True)
class Users:
    """``rows``: id, profile, events, numbers (a list of float); the platform they live on; tokens of each text."""

    name: str
    rows: pd.DataFrame
    population: Population
    tokens: np.ndarray

    def describe(self) -> str:
        """The lengths, which decide what padding costs."""
        low, middle, high = np.percentile(self.tokens, (10, 50, 90))
        spread = f"10 % below {low:.0f}, half below {middle:.0f}, 10 % above {high:.0f}"
        return f"{len(self.rows):,} {self.name}, {self.tokens.mean():.0f} tokens on average ({spread})"


def synthetic(number: int, tokenizer: PreTrainedTokenizerBase, text: TextSpec, history: HistorySpec) -> Users:
    """Random words, as many a text as makes its length in tokens lognormal with mean ``MEAN_TOKENS``."""
    dice = np.random.default_rng(0)
    words = np.array(
        sorted(word for word in tokenizer.get_vocab() if len(word) > 2 and word.isascii() and word.isalpha())
    )
    lengths = dice.lognormal(math.log(MEAN_TOKENS) - SIGMA**2 / 2, SIGMA, number).clip(8, text.max_tokens)
    aside = len(tokenize(tokenizer, [Rendered("customer", "", ())], text).input_ids[0])
    events = [" ".join(dice.choice(words, max(int(length) - aside, 1))) for length in lengths]
    known = golden_users.make_users(history)
    numbers = known.numbers.iloc[dice.integers(0, len(known.numbers), number)]
    return _users("texts of random words", ["customer"] * number, events, numbers, known.population, tokenizer, text)


def real(
    number: int, warehouse: str, tokenizer: PreTrainedTokenizerBase, text: TextSpec, history: HistorySpec
) -> Users:
    """Rendered histories of the newest date of a warehouse's training set."""
    found = read_training_set(warehouse)
    newest = max(found.populations)
    rows = found.rows[found.rows["as_of_date"] == newest].drop_duplicates("history_hash")
    rows = rows.sample(min(number, len(rows)), random_state=0)
    rendered = [render(each, text) for each in rows["history"]]
    profiles, events = [each.profile for each in rendered], [each.events for each in rendered]
    name = f"users of {Path(warehouse).name} as of {newest}"
    return _users(name, profiles, events, rows[list(history.numbers)], found.populations[newest], tokenizer, text)


def _users(
    name: str,
    profiles: list[str],
    events: list[str],
    numbers: pd.DataFrame,
    population: Population,
    tokenizer: PreTrainedTokenizerBase,
    text: TextSpec,
) -> Users:
    listed = numbers.to_numpy(np.float64).tolist()
    rows = pd.DataFrame({"id": range(len(events)), "profile": profiles, "events": events, "numbers": listed})
    tokens = tokenize(tokenizer, [Rendered(*each, ()) for each in zip(profiles, events, strict=True)], text)
    return Users(name, rows, population, tokens.lengths)
