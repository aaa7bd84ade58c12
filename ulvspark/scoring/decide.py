"""Vectors and tonight's numbers -> what is predicted of every user. Cheap, so it runs for everyone."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.spec import HistorySpec
from ulvspark.history.population import Population
from ulvspark.model.predictor import Decisions, Predictor
from ulvspark.scoring import workers
from ulvspark.scoring.encode import vectors_from_bytes

PREDICTED = (
    "expected_value", "expected_value_median", "expected_value_low", "expected_value_high",
    "churn_probability", "price_sensitivity",
)  # fmt: skip

DECIDED = (
    "user_id STRING, has_history BOOLEAN, tier_probabilities ARRAY<DOUBLE>, "
    + ", ".join(f"{name} DOUBLE" for name in PREDICTED)
)  # fmt: skip


def decide(
    behaviour: DataFrame, vectors: DataFrame | None, population: Population, spec: HistorySpec, bundle: str
) -> DataFrame:
    """One row a row of ``behaviour``: user_id, has_history and the predictions, null where there is no history.

    ``vectors`` (history_hash, vector) holds every history of ``behaviour``; None for a bundle that reads no text.
    tier_probabilities are lowest tier first; money is in the warehouse's currency; an absent head is null.
    """
    has_history = F.col("history_hash").isNotNull().alias("has_history")
    numbers = behaviour.select("user_id", "history_hash", has_history, *spec.numbers)
    if vectors is not None:
        numbers = numbers.join(vectors, "history_hash", "left")
    return numbers.drop("history_hash").mapInPandas(
        partial(_decide_batches, bundle=bundle, population=population), DECIDED
    )


def _decide_batches(batches: Iterator[pd.DataFrame], bundle: str, population: Population) -> Iterator[pd.DataFrame]:
    for batch in batches:
        predicted = _predict(workers.predictor(bundle), batch[batch["has_history"]], population)
        decided = batch[["user_id", "has_history"]].join(predicted)
        # Arrow takes a missing list as None only; the join left NaN.
        tier = decided["tier_probabilities"].astype(object)
        yield decided.assign(tier_probabilities=tier.where(tier.notna(), None))


def _predict(predictor: Predictor, users: pd.DataFrame, population: Population) -> pd.DataFrame:
    """tier_probabilities and ``PREDICTED``, on the index of ``users``."""
    if users.empty:
        return pd.DataFrame(columns=["tier_probabilities", *PREDICTED], index=users.index, dtype=object)
    reads_text = predictor.manifest.network.use_text
    vectors = vectors_from_bytes(users["vector"]) if reads_text else np.empty((len(users), 0), np.float32)
    numbers = users[list(predictor.manifest.history.numbers)]
    return _columns(predictor.decide(vectors, numbers, population), users.index)


def _columns(decisions: Decisions, index: pd.Index) -> pd.DataFrame:
    tier = decisions.tier_probabilities
    columns: dict[str, object] = {"tier_probabilities": None if tier is None else list(tier.astype(np.float64))}
    for name in PREDICTED:
        columns[name] = getattr(decisions, name)
    return pd.DataFrame(columns, index=index)
