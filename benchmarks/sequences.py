"""Unit ``event`` in Spark: users whose events' texts were read before, and numbers, in; tiers out."""

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.contenders import predictor
from ulvspark.contract.schema import CODED
from ulvspark.history.numbers import TEN_THOUSANDTHS
from ulvspark.history.population import Population
from ulvspark.history.recent_events import RECORD, sequences
from ulvspark.model.bundle import golden_users
from ulvspark.model.inference.reader import EventReader
from ulvspark.model.network.event_arrays import Events
from ulvspark.model.network.sequence import read_events
from ulvspark.model.network.text_vectors import TextVectors
from ulvspark.scoring.vectors import bytes_of, vectors_of

MEAN_EVENTS, SIGMA = 19, 0.8
"""Of what users did; of the most active ones only the last events are read."""
TEXTS = 200_000
OURS = "ulvspark, unit event"
CHANGED = f"{OURS}, 1 % changed"


def made_up(session: SparkSession, number: int, bundle: str, scratch: Path) -> tuple[DataFrame, Population]:
    """id, sequence, numbers and vector (null) of ``number`` users; the texts' vectors lie in ``scratch``."""
    dice, own = np.random.default_rng(0), predictor(bundle)
    known = golden_users.make_users(own.manifest.history)
    numbers = known.numbers.to_numpy(np.float64)[dice.integers(0, len(known.numbers), number)]
    lengths = dice.lognormal(np.log(MEAN_EVENTS) - SIGMA**2 / 2, SIGMA, number)
    lengths = lengths.astype(int).clip(1, own.manifest.history.last_events)
    table = {
        "id": pa.array(range(number)),
        "sequence": _sequences(dice, lengths),
        "numbers": pa.array(list(numbers), pa.list_(pa.float64())),
        "vector": pa.nulls(number, pa.binary()),
    }
    pq.write_table(pa.table(table), scratch / "sequences.parquet")
    np.save(scratch / "states.npy", dice.normal(size=(TEXTS, _width(bundle))).astype(np.float16))
    frame = session.read.parquet(str(scratch / "sequences.parquet"))
    return frame.repartition(session.sparkContext.defaultParallelism).cache(), known.population


def _sequences(dice: np.random.Generator, lengths: np.ndarray) -> pa.BinaryArray:
    records = np.zeros(int(lengths.sum()), RECORD)
    for name, known in CODED.items():
        records[name] = dice.integers(0, len(known), len(records))
    records["order"], records["gap_days"] = dice.integers(0, 9, len(records)), dice.integers(0, 30, len(records))
    records["quantity"] = dice.integers(0, TEN_THOUSANDTHS, len(records))
    # Few products are seen by many: squared, as the simulator has it.
    records["product_key"] = 1 + (dice.random(len(records)) ** 2 * TEXTS).astype(np.int64)
    return sequences(records, np.append(0, np.cumsum(lengths)))


def _width(bundle: str) -> int:
    return _reader(bundle).encoder.state_size


def _reader(bundle: str) -> EventReader:
    reader = predictor(bundle).reader
    if not isinstance(reader, EventReader):
        raise TypeError("the benchmark of sequences needs a bundle of unit event")
    return reader


def ways(frame: DataFrame, bundle: str, population: Population, scratch: str) -> dict[str, DataFrame]:
    """id and tier of each user: all read anew, and with the vectors of all but one in a hundred known."""
    vectors = frame.mapInArrow(partial(_vectors, bundle=bundle, scratch=scratch), "id BIGINT, vector BINARY")
    known = F.when(F.col("id") % 100 != 0, F.col("vector"))
    mostly = frame.drop("vector").join(vectors, "id").withColumn("vector", known).cache()
    score = partial(_tiers, bundle=bundle, population=population, scratch=scratch)
    return {name: each.mapInArrow(score, "id BIGINT, tier INT") for name, each in ((OURS, frame), (CHANGED, mostly))}


def _tiers(
    batches: Iterator[pa.RecordBatch], bundle: str, population: Population, scratch: str
) -> Iterator[pa.RecordBatch]:
    own = predictor(bundle)
    for batch in batches:
        numbers = np.asarray(batch.column("numbers").flatten()).reshape(len(batch), -1)
        table = pd.DataFrame(numbers, columns=list(own.manifest.history.numbers))
        probabilities = own.decide(_encoded(batch, bundle, scratch), table, population)["tier_probabilities"]
        tiers = np.asarray(probabilities).argmax(axis=1)
        yield pa.record_batch({"id": batch.column("id"), "tier": pa.array(tiers.astype(np.int32))})


def _vectors(batches: Iterator[pa.RecordBatch], bundle: str, scratch: str) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.record_batch({"id": batch.column("id"), "vector": bytes_of(_encoded(batch, bundle, scratch))})


def _encoded(batch: pa.RecordBatch, bundle: str, scratch: str) -> np.ndarray:
    """Vectors of users: those that are known, and the others' read."""
    new = batch.column("vector").is_null().to_numpy(zero_copy_only=False)
    events = Events.of_sequences(batch.column("sequence").filter(pa.array(new)))
    read = read_events(_reader(bundle).encoder, events, _texts(scratch))
    encoded = np.empty((len(batch), read.shape[1]), np.float32)
    encoded[new] = read
    if not new.all():
        encoded[~new] = vectors_of(batch.column("vector").drop_null())
    return encoded


@cache
def _texts(scratch: str) -> TextVectors:
    return TextVectors(np.arange(1, TEXTS + 1), np.load(f"{scratch}/states.npy", mmap_mode="r"))
