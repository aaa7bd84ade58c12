"""Encode users: the recent events of users whose vector is not kept yet -> user vectors."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pydantic import Field
from pyspark import Accumulator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.config import Strict
from ulvspark.history.packing import rows_as_bytes
from ulvspark.model.network.event_arrays import Events
from ulvspark.model.network.sequence import read_events
from ulvspark.scoring import workers
from ulvspark.scoring.workers import ShippedModel

BROADCAST_LIMIT = 200_000
"""Up to this many hashes are sent to every executor, so that only the histories to encode are shuffled."""


class EncodeConfig(Strict):
    """How encoding is spread over tasks. Nothing here changes a vector."""

    histories_per_task: int = Field(ge=1)
    """Histories a task reads in unit ``history``. There are never fewer tasks than cores."""

    sequences_per_task: int = Field(ge=1)
    """Users a task encodes in unit ``event``, where a user is read hundreds of times as fast."""

    texts_per_task: int = Field(ge=1)
    """Distinct texts a task reads in unit ``event``."""


def encode_users(
    behaviour: DataFrame,
    missing: DataFrame | None,
    number: int,
    model: ShippedModel,
    config: EncodeConfig,
    tokens: "Accumulator[int]",
) -> DataFrame:
    """Columns history_hash and vector (float32 bytes) for ``number`` distinct histories of ``behaviour``.

    They are those whose history_hash is in ``missing``, or all where that is None. The tokens that BERT reads are added
    to ``tokens``.
    """
    content, per_task = (
        ("history", config.histories_per_task)
        if model.text_vectors is None
        else ("sequence", config.sequences_per_task)
    )
    # A fixed number of tasks: by bytes, Spark would often take all histories of a night for the work of one.
    tasks = max(behaviour.sparkSession.sparkContext.defaultParallelism, -(-number // per_task))
    histories = _spread(behaviour.select("history_hash", content), missing, number, tasks)
    encode_batches = partial(_encode_batches, model=model, tokens=tokens)
    return histories.mapInArrow(encode_batches, "history_hash STRING, vector BINARY")


def _spread(histories: DataFrame, missing: DataFrame | None, number: int, tasks: int) -> DataFrame:
    """The histories to encode, shuffled once, so that equal ones meet in one task."""
    if missing is None:
        return histories.where(F.col("history_hash").isNotNull()).repartition(tasks, "history_hash")
    if number <= BROADCAST_LIMIT:
        return histories.join(F.broadcast(missing), "history_hash", "left_semi").repartition(tasks, "history_hash")
    # A hash join, since a sort-merge join would sort whole histories. An inner join, since Spark would push a semi join
    # below the shuffle and shuffle twice.
    hashes = missing.repartition(tasks, "history_hash").hint("shuffle_hash")
    return histories.repartition(tasks, "history_hash").join(hashes, "history_hash")


def _encode_batches(
    batches: Iterator[pa.RecordBatch], model: ShippedModel, tokens: "Accumulator[int]"
) -> Iterator[pa.RecordBatch]:
    for batch in _first_of_each_hash(batches):
        content = batch.column(1)
        if model.text_vectors is None:
            vectors = _encode_histories(content, model, tokens)
        else:
            encoder, texts = workers.event_encoder(model.bundle), workers.text_vectors(model.text_vectors)
            vectors = read_events(encoder, Events.from_sequences(content), texts)
        vector = rows_as_bytes(vectors.astype("<f4"))
        yield pa.record_batch({"history_hash": batch.column("history_hash"), "vector": vector})


def _first_of_each_hash(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows without those whose history_hash came before."""
    seen: set[str] = set()
    for batch in batches:
        is_new = []
        for history_hash in batch.column("history_hash").to_pylist():
            is_new.append(history_hash not in seen)
            seen.add(history_hash)
        if any(is_new):
            yield batch.filter(pa.array(is_new))


def _encode_histories(histories: pa.StructArray, model: ShippedModel, tokens: "Accumulator[int]") -> np.ndarray:
    predictor = workers.predictor(model.bundle)
    # Straight from Arrow: pandas would turn whole numbers beside nulls into fractions, and "7 days" into "7.0 days".
    with workers.counted_tokens(model.bundle, tokens):
        return predictor.encode(histories.to_pylist(maps_as_pydicts="strict"))
