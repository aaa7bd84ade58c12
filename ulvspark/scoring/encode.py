"""Histories not yet read by this encoder -> user vectors."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.config import Strict
from ulvspark.model.network.event_arrays import Events
from ulvspark.model.network.sequence import read_events
from ulvspark.scoring import workers
from ulvspark.scoring.throughput import Throughput
from ulvspark.scoring.vectors import bytes_of

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
    ours = user_vectors.where(F.col("user_encoder_version") == user_encoder_version).select("history_hash", "vector")
    # Looked for by hashes alone, since it is rare and to drop duplicates all vectors are sorted.
    repeated = ours.groupBy("history_hash").count().where("count > 1")
    return ours if repeated.isEmpty() else ours.dropDuplicates(["history_hash"])


def with_known(behaviour: DataFrame, user_vectors: DataFrame, user_encoder_version: str) -> DataFrame:
    """Each history_hash of ``behaviour`` once, with ``known``: true where one encoder has read it, else null."""
    # Hashes alone, counted together: neither vectors nor histories are shuffled to find out, and nothing is sorted.
    ours = user_vectors.where(F.col("user_encoder_version") == user_encoder_version)
    tonight = behaviour.where(F.col("history_hash").isNotNull()).select("history_hash", F.lit(True).alias("tonight"))
    both = tonight.unionByName(ours.select("history_hash", F.lit(True).alias("known")), allowMissingColumns=True)
    each = both.groupBy("history_hash").agg(F.max("tonight").alias("tonight"), F.max("known").alias("known"))
    return each.where("tonight").drop("tonight")


def encode(
    behaviour: DataFrame,
    missing: DataFrame | None,
    number: int,
    bundle: str,
    texts: str | None,
    user_encoder_version: str,
    now: datetime,
    config: EncodeConfig,
    throughput: Throughput,
) -> DataFrame:
    """The ``number`` histories of ``behaviour`` whose hash is ``missing`` (None: all), as rows of ``user_vectors``.

    ``bundle`` and, of unit ``event``, the vectors of ``texts`` are the names they were shipped under.
    """
    cores = behaviour.sparkSession.sparkContext.defaultParallelism
    # A set number of tasks, since by bytes all histories of a night may look like one task's worth.
    per_task = config.histories_per_task if texts is None else config.sequences_per_task
    tasks = max(cores, -(-number // per_task))
    told = "history" if texts is None else "sequence"
    vectors = _histories(behaviour, missing, number, tasks, told).mapInArrow(
        partial(_encode_batches, bundle=bundle, texts=texts, throughput=throughput),
        "history_hash STRING, vector BINARY",
    )
    facts = {"user_encoder_version": F.lit(user_encoder_version), "created_at": F.lit(now)}
    return vectors.withColumns(facts).select(*schema.USER_VECTORS.names)


def _histories(behaviour: DataFrame, missing: DataFrame | None, number: int, tasks: int, told: str) -> DataFrame:
    """Missing histories, shuffled once, so that equal ones are in one task."""
    histories = behaviour.select("history_hash", told)
    if missing is None:
        return histories.where(F.col("history_hash").isNotNull()).repartition(tasks, "history_hash")
    if number <= FEW:
        few = F.broadcast(missing)
        return histories.join(few, "history_hash", "left_semi").repartition(tasks, "history_hash")
    # The hashes of a task are looked up: else histories would be sorted, whole, to find them. An inner join, since a
    # semi join would be pushed below the shuffle and bring another one.
    many = missing.repartition(tasks, "history_hash").hint("shuffle_hash")
    return histories.repartition(tasks, "history_hash").join(many, "history_hash")


def _encode_batches(
    batches: Iterator[pa.RecordBatch], bundle: str, texts: str | None, throughput: Throughput
) -> Iterator[pa.RecordBatch]:
    for batch in _each_once(batches):
        told = batch.column(1)
        vectors = _read_words(told, bundle, throughput) if texts is None else _read_sequences(told, bundle, texts)
        yield pa.record_batch({"history_hash": batch.column("history_hash"), "vector": bytes_of(vectors)})


def _each_once(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The first row of each history_hash."""
    seen: set[str] = set()
    for batch in batches:
        before = len(seen)
        new = []
        for each in batch.column("history_hash").to_pylist():
            new.append(each not in seen)
            seen.add(each)
        if len(seen) > before:
            yield batch.filter(pa.array(new))


def _read_words(histories: pa.StructArray, bundle: str, throughput: Throughput) -> np.ndarray:
    with throughput.measured(bundle):
        # Straight from Arrow: by way of pandas, whole numbers beside nulls become fractions, and "7 days" "7.0 days".
        return workers.predictor(bundle).encode(histories.to_pylist(maps_as_pydicts="strict")).astype("<f4")


def _read_sequences(sequences: pa.BinaryArray, bundle: str, texts: str) -> np.ndarray:
    encoder, known = workers.event_encoder(bundle), workers.text_vectors(texts)
    return read_events(encoder, Events.from_sequences(sequences), known).astype("<f4")
