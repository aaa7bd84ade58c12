"""Score made-up users in Spark with unit ``event``, when the texts of all events are encoded already."""

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.comparison.contenders import predictor
from ulvspark.contract.schema import CODED
from ulvspark.history.numbers import TEN_THOUSANDTHS
from ulvspark.history.packing import rows_as_bytes, rows_from_bytes
from ulvspark.history.population import Population
from ulvspark.history.recent_events import RECORD, sequences
from ulvspark.history.timelines import UNKNOWN
from ulvspark.model.bundle import golden_users
from ulvspark.model.inference.reader import EventReader
from ulvspark.model.network.event_arrays import Events
from ulvspark.model.network.sequence import read_events
from ulvspark.model.network.text_vectors import TextVectors

MEAN_EVENTS, SIGMA = 19, 0.8
"""Of the lognormal numbers of events a user, before they are cut to the recent events that the bundle reads."""
TEXTS = 200_000
"""Distinct texts that events refer to."""
ALL_ENCODED = "ulvspark, unit event"
CHANGED_ENCODED = f"{ALL_ENCODED}, 1 % of users changed"


def made_up_users(session: SparkSession, number: int, bundle: str, scratch: Path) -> tuple[DataFrame, Population]:
    """``number`` users with id, sequence, numbers and vector (null), and the population of their platform.

    Writes the vectors of the texts to ``scratch``.
    """
    random, history = np.random.default_rng(0), predictor(bundle).manifest.history
    golden = golden_users.make_users(history)
    numbers = golden.numbers.to_numpy(np.float64)[random.integers(0, len(golden.numbers), number)]
    lengths = random.lognormal(np.log(MEAN_EVENTS) - SIGMA**2 / 2, SIGMA, number)
    lengths = lengths.astype(int).clip(1, history.recent_events)
    table = {
        "id": pa.array(range(number)),
        "sequence": _sequences(random, lengths),
        "numbers": pa.array(list(numbers), pa.list_(pa.float64())),
        "vector": pa.nulls(number, pa.binary()),
    }
    pq.write_table(pa.table(table), scratch / "sequences.parquet")
    np.save(scratch / "states.npy", random.normal(size=(TEXTS, _width(bundle))).astype(np.float16))
    frame = session.read.parquet(str(scratch / "sequences.parquet"))
    return frame.repartition(session.sparkContext.defaultParallelism).cache(), golden.population


def _sequences(random: np.random.Generator, lengths: np.ndarray) -> pa.BinaryArray:
    records = np.zeros(int(lengths.sum()), RECORD)
    for name, values in CODED.items():
        records[name] = random.integers(0, len(values), len(records))
    records["text_key"] = UNKNOWN
    records["order"], records["gap_days"] = random.integers(0, 9, len(records)), random.integers(0, 30, len(records))
    records["quantity"] = random.integers(0, TEN_THOUSANDTHS, len(records))
    # A few products are in most of the events: uniform numbers are squared, as in the simulator.
    records["product_key"] = 1 + (random.random(len(records)) ** 2 * TEXTS).astype(np.int64)
    return sequences(records, np.append(0, np.cumsum(lengths)))


def _width(bundle: str) -> int:
    return _reader(bundle).encoder.state_size


def _reader(bundle: str) -> EventReader:
    """Encoder of the bundle, which must be of unit event."""
    reader = predictor(bundle).reader
    if not isinstance(reader, EventReader):
        raise TypeError("the benchmark of sequences needs a bundle of unit event")
    return reader


def scores(frame: DataFrame, bundle: str, population: Population, scratch: str) -> dict[str, DataFrame]:
    """id and tier of each user, not computed yet: with all users to encode, and with one in a hundred to encode."""
    vectors = frame.mapInArrow(partial(_vectors, bundle=bundle, scratch=scratch), "id BIGINT, vector BINARY")
    kept = F.when(F.col("id") % 100 != 0, F.col("vector"))
    mostly_encoded = frame.drop("vector").join(vectors, "id").withColumn("vector", kept).cache()
    score = partial(_tiers, bundle=bundle, population=population, scratch=scratch)
    users = {ALL_ENCODED: frame, CHANGED_ENCODED: mostly_encoded}
    return {name: rows.mapInArrow(score, "id BIGINT, tier INT") for name, rows in users.items()}


def _tiers(
    batches: Iterator[pa.RecordBatch], bundle: str, population: Population, scratch: str
) -> Iterator[pa.RecordBatch]:
    model = predictor(bundle)
    for batch in batches:
        numbers = np.asarray(batch.column("numbers").flatten()).reshape(len(batch), -1)
        table = pd.DataFrame(numbers, columns=list(model.manifest.history.numbers))
        probabilities = model.decide(_encoded(batch, bundle, scratch), table, population)["tier_probabilities"]
        tiers = np.asarray(probabilities).argmax(axis=1)
        yield pa.record_batch({"id": batch.column("id"), "tier": pa.array(tiers.astype(np.int32))})


def _vectors(batches: Iterator[pa.RecordBatch], bundle: str, scratch: str) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.record_batch({"id": batch.column("id"), "vector": rows_as_bytes(_encoded(batch, bundle, scratch))})


def _encoded(batch: pa.RecordBatch, bundle: str, scratch: str) -> np.ndarray:
    """The users' vectors, (n, vector_size) float32: kept ones, and new ones for users without."""
    new = batch.column("vector").is_null().to_numpy(zero_copy_only=False)
    events = Events.from_sequences(batch.column("sequence").filter(pa.array(new)))
    new_vectors = read_events(_reader(bundle).encoder, events, _texts(scratch))
    encoded = np.empty((len(batch), new_vectors.shape[1]), np.float32)
    encoded[new] = new_vectors
    if not new.all():
        encoded[~new] = rows_from_bytes(batch.column("vector").drop_null(), np.dtype("<f4"))
    return encoded


@cache
def _texts(scratch: str) -> TextVectors:
    """The vectors of the texts, opened once a worker."""
    return TextVectors(np.arange(1, TEXTS + 1), np.load(f"{scratch}/states.npy", mmap_mode="r"))
