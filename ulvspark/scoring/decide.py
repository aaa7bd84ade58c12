"""Decide: user vectors and tonight's numbers -> predictions for every user. Cheap, so it runs for everyone."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.heads import HEADS
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.packing import rows_from_bytes
from ulvspark.history.population import Population
from ulvspark.model.inference.scorer import Scorer
from ulvspark.model.parts.predictions import Array, Decisions
from ulvspark.scoring import workers

ARROW_TYPES: dict[str, pa.DataType] = {
    name: pa.list_(pa.float64()) if head.kind == "classes" else pa.float64()
    for head in HEADS.values()
    for name in head.columns
}
"""The predicted columns of the score tables, and their types while tiers are still lists."""

DECIDED = ", ".join([
    "user_id STRING", "has_history BOOLEAN",
    *(f"{name} {'ARRAY<DOUBLE>' if pa.types.is_list(kind) else 'DOUBLE'}" for name, kind in ARROW_TYPES.items()),
])  # fmt: skip


def decide(
    behaviour: DataFrame, vectors: DataFrame | None, population: Population, spec: HistorySpec, bundle: str
) -> DataFrame:
    """A row for each row of ``behaviour``: user_id, has_history and the predictions, null where there is no history.

    ``vectors`` (history_hash, vector) holds every history of ``behaviour``; None for a bundle that reads no text.
    tier_probabilities start with the lowest tier; money is in the warehouse's currency; the columns of heads that the
    bundle lacks are null.
    """
    has_history = F.col("history_hash").isNotNull().alias("has_history")
    numbers = behaviour.select("user_id", "history_hash", has_history, *spec.numbers)
    if vectors is not None:
        # Hashes spread evenly over tasks, so each fits a hash table, and no wide rows are sorted.
        numbers = numbers.join(vectors.hint("shuffle_hash"), "history_hash", "left")
    return numbers.drop("history_hash").mapInArrow(
        partial(_decide_batches, bundle=bundle, population=population), DECIDED
    )


def _decide_batches(batches: Iterator[pa.RecordBatch], bundle: str, population: Population) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        has_history = batch.column("has_history")
        predicted = _predict(workers.scorer(bundle), batch.filter(has_history), population)
        # For each row, the number of its prediction, or null.
        places = pc.if_else(has_history, pc.subtract(pc.cumulative_sum(has_history.cast(pa.int64())), 1), None)
        everyone = {name: batch.column(name) for name in ("user_id", "has_history")}
        yield pa.record_batch(everyone | {name: column.take(places) for name, column in predicted.items()})


def _predict(scorer: Scorer, users: pa.RecordBatch, population: Population) -> dict[str, pa.Array]:
    """The columns of ``ARROW_TYPES`` of users with a history."""
    if not len(users):
        return _columns({}, 0)
    vectors = np.empty((len(users), 0), np.float32)
    if scorer.decider.spec.use_text:
        vectors = rows_from_bytes(users.column("vector"), np.dtype("<f4"))
    names = scorer.history.numbers
    numbers = pd.DataFrame({name: users.column(name).to_numpy(zero_copy_only=False) for name in names})
    return _columns(scorer.decide(vectors, numbers, population), len(users))


def _columns(decisions: Decisions, users: int) -> dict[str, pa.Array]:
    """Null in the columns that the bundle has no head for."""
    return {
        name: _arrow(decisions[name]) if name in decisions else pa.nulls(users, kind)
        for name, kind in ARROW_TYPES.items()
    }


def _arrow(values: Array) -> pa.Array:
    """A column of numbers from (n,), of lists from (n, K)."""
    if values.ndim == 1:
        return pa.array(values)
    starts = pa.array(np.arange(len(values) + 1) * values.shape[1], pa.int32())
    return pa.ListArray.from_arrays(starts, values.astype(np.float64).ravel())
