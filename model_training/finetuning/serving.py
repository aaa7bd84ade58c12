"""In which precision a bundle is served: measured on users of the cut before it is saved."""

import numpy as np
from transformers import PreTrainedTokenizerBase

from model_training.data.dataset import Rows, TrainingSet
from ulvspark.model.bundle import serving_precision
from ulvspark.model.bundle.bundle import BundleFacts
from ulvspark.model.bundle.serving_precision import Sample, ServingPrecision
from ulvspark.model.network.network import UserValueNetwork

USERS = 1000
"""Enough to tell 99.5 % from 99 %."""


def with_precision(
    facts: BundleFacts,
    network: UserValueNetwork,
    tokenizer: PreTrainedTokenizerBase | None,
    sample: Sample,
    wanted: ServingPrecision,
) -> BundleFacts:
    """``facts`` with the precision that ``wanted`` stands for, and what was measured of all of them.

    Raises RefusedError where ``wanted`` does not agree with fp32.
    """
    if wanted == "fp32":
        return facts
    found = serving_precision.measure(network.eval(), tokenizer, facts, sample)
    chosen = serving_precision.choose(wanted, found)
    return facts.model_copy(update={"precision": chosen, "agreement": found or None})


def sample(training_set: TrainingSet, rows: Rows, facts: BundleFacts) -> Sample:
    """Up to ``USERS`` users of ``rows``, which are of one date. No label is looked at."""
    here = training_set.rows.iloc[rows].drop_duplicates("history_hash")
    some = here.iloc[np.unique(np.linspace(0, len(here) - 1, min(USERS, len(here))).astype(int))]
    population = training_set.populations[some["as_of_date"].iloc[0]]
    return Sample(some["history"].tolist(), some[list(facts.history.numbers)], population)
