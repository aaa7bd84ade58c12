"""Histories not yet read by this encoder -> user vectors. BERT runs here and nowhere else."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.config import Strict
from ulvspark.model.events import Events
from ulvspark.model.predictor import Predictor
from ulvspark.model.reading import EventReader
from ulvspark.scoring import workers

FEW = 200_000
"""Hashes that every executor may hold, so that only the histories behind them are shuffled."""


class EncodeConfig(Strict):
    """How encoding is spread over tasks. Nothing here changes a vector."""

    histories_per_task: int = Field(ge=1)
    """About this many histories of unit ``history`` a task, and never fewer tasks than cores."""

    sequences_per_task: int = Field(ge=1)
    """The same of unit ``event``, where a history is read hundreds of times as fast."""

    texts_per_task: int = Field(ge=1)
    """The same of products' and events' own texts, of unit ``event``."""


def known_vectors(user_vectors: DataFrame, user_encoder_version: str) -> DataFrame:
    """history_hash and vector of one encoder, one row a hash even where two runs encoded the same history."""
    ours = user_vectors.where(F.col("user_encoder_version") == user_encoder_version)
    return ours.select("history_hash", "vector").dropDuplicates(["history_hash"])


def missing_hashes(behaviour: DataFrame, user_vectors: DataFrame, user_encoder_version: str) -> DataFrame:
    """history_hash of the histories that one encoder has not read."""
    # Hashes alone: neither vectors nor histories are shuffled to find out.
    known = user_vectors.where(F.col("user_encoder_version") == user_encoder_version).select("history_hash")
    hashes = behaviour.where(F.col("history_hash").isNotNull()).select("history_hash")
    return hashes.join(known, "history_hash", "left_anti").distinct()


def encode(
    behaviour: DataFrame,
    missing: DataFrame,
    number: int,
    bundle: str,
    texts: str | None,
    user_encoder_version: str,
    now: datetime,
    config: EncodeConfig,
) -> DataFrame:
    """The ``number`` histories of ``behaviour`` whose hash is ``missing``, as rows of ``user_vectors``.

    ``bundle`` and, of unit ``event``, the vectors of ``texts`` are the names they were shipped under.
    """
    cores = behaviour.sparkSession.sparkContext.defaultParallelism
    # A set number of tasks, since by bytes all histories of a night may look like one task's worth.
    per_task = config.histories_per_task if texts is None else config.sequences_per_task
    tasks = max(cores, -(-number // per_task))
    vectors = _histories(behaviour, missing, number, tasks).mapInArrow(
        partial(_encode_batches, bundle=bundle, texts=texts), "history_hash STRING, vector BINARY"
    )
    facts = {"user_encoder_version": F.lit(user_encoder_version), "created_at": F.lit(now)}
    return vectors.withColumns(facts).select(*schema.USER_VECTORS.names)


def _histories(behaviour: DataFrame, missing: DataFrame, number: int, tasks: int) -> DataFrame:
    """Each missing history once, shuffled at most once, by hash."""
    histories = behaviour.select("history_hash", "history")
    if number <= FEW:
        chosen = histories.join(F.broadcast(missing), "history_hash", "left_semi").repartition(tasks, "history_hash")
    else:
        chosen = histories.repartition(tasks, "history_hash").join(
            missing.repartition(tasks, "history_hash"), "history_hash", "left_semi"
        )
    return chosen.dropDuplicates(["history_hash"])


def _encode_batches(batches: Iterator[pa.RecordBatch], bundle: str, texts: str | None) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        vectors = _vectors(workers.predictor(bundle), batch.column("history"), texts).astype("<f4")
        rows = pa.array([row.tobytes() for row in vectors], pa.binary())
        yield pa.record_batch({"history_hash": batch.column("history_hash"), "vector": rows})


def _vectors(predictor: Predictor, histories: pa.StructArray, texts: str | None) -> np.ndarray:
    if texts is not None and isinstance(predictor.reader, EventReader):
        events = Events.of_arrow(pc.struct_field(histories, "events"))
        return predictor.reader.encode_events(events, workers.text_vectors(texts))
    # Straight from Arrow: by way of pandas, whole numbers beside nulls become fractions, and "7 days" "7.0 days".
    return predictor.encode(histories.to_pylist(maps_as_pydicts="strict"))


def vectors_from_bytes(column: pd.Series) -> np.ndarray:
    """Vectors (n, vector_size) float32 of a ``vector`` column; n must be at least 1."""
    # Joined into a bytearray, since torch wants memory it might write to.
    return np.frombuffer(bytearray().join(column), dtype="<f4").reshape(len(column), -1)
