"""The users that the benchmarks of texts score: texts and numbers, made up or from a training set."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from model_training.data.dataset import read_training_set
from ulvspark.contract.spec import HistorySpec, TextSpec
from ulvspark.history.population import Population
from ulvspark.history.text import Rendered, render
from ulvspark.model.bundle import golden_users
from ulvspark.model.encoder.tokenizing import AnyTokenizer, tokenize

MEAN_TOKENS, SIGMA = 73, 0.6
"""Of the lognormal lengths of made-up texts: the mean in tokens, and the standard deviation of the logarithm."""


@dataclass(frozen=True)
class Users:
    """Users to score."""

    name: str
    """Says in a few words who they are."""
    rows: pd.DataFrame
    """id, profile, events, numbers (a list of float)."""
    population: Population
    """Of the platform they are on."""
    tokens: np.ndarray
    """Tokens of each user's text."""

    def describe(self) -> str:
        """How many users, and how long their texts are: the spread of lengths decides what padding costs."""
        low, middle, high = np.percentile(self.tokens, (10, 50, 90))
        spread = f"10 % below {low:.0f}, half below {middle:.0f}, 10 % above {high:.0f}"
        return f"{len(self.rows):,} {self.name}, {self.tokens.mean():.0f} tokens on average ({spread})"


def made_up_users(number: int, tokenizer: AnyTokenizer, text: TextSpec, history: HistorySpec) -> Users:
    """Users with texts of random words, whose lengths in tokens are lognormal with mean ``MEAN_TOKENS``."""
    random = np.random.default_rng(0)
    words = np.array(
        sorted(
            word
            for word in tokenizer.backend_tokenizer.get_vocab()
            if len(word) > 2 and word.isascii() and word.isalpha()
        )
    )
    lengths = random.lognormal(math.log(MEAN_TOKENS) - SIGMA**2 / 2, SIGMA, number).clip(8, text.max_tokens)
    profile_tokens = len(tokenize(tokenizer, [Rendered("customer", "", ())], text).input_ids[0])
    events = [" ".join(random.choice(words, max(int(length) - profile_tokens, 1))) for length in lengths]
    golden = golden_users.make_users(history)
    numbers = golden.numbers.iloc[random.integers(0, len(golden.numbers), number)]
    return _users("texts of random words", ["customer"] * number, events, numbers, golden.population, tokenizer, text)


def real_users(number: int, warehouse: str, tokenizer: AnyTokenizer, text: TextSpec, history: HistorySpec) -> Users:
    """Users of the newest date of a warehouse's training set, with their histories as text."""
    training_set = read_training_set(warehouse)
    newest = max(training_set.populations)
    rows = training_set.rows[training_set.rows["as_of_date"] == newest].drop_duplicates("history_hash")
    rows = rows.sample(min(number, len(rows)), random_state=0)
    rendered = [render(entry, text) for entry in rows["history"]]
    profiles, events = [words.profile for words in rendered], [words.events for words in rendered]
    name = f"users of {Path(warehouse).name} as of {newest}"
    return _users(
        name, profiles, events, rows[list(history.numbers)], training_set.populations[newest], tokenizer, text
    )


def _users(
    name: str,
    profiles: list[str],
    events: list[str],
    numbers: pd.DataFrame,
    population: Population,
    tokenizer: AnyTokenizer,
    text: TextSpec,
) -> Users:
    lists = numbers.to_numpy(np.float64).tolist()
    rows = pd.DataFrame({"id": range(len(events)), "profile": profiles, "events": events, "numbers": lists})
    tokens = tokenize(tokenizer, [Rendered(*words, ()) for words in zip(profiles, events, strict=True)], text)
    return Users(name, rows, population, tokens.lengths)
