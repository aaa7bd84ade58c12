"""Unit ``event``: the texts of tonight's events -> ``text_vectors`` -> one memory-mapped matrix on every host."""

import atexit
import shutil
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pyarrow as pa
from pyspark import SparkContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.history.rows import WORDS, product_key, text_key
from ulvspark.history.text import own_text, product_text
from ulvspark.model.inference.reader import EventReader
from ulvspark.scoring import workers
from ulvspark.scoring.throughput import Throughput
from ulvspark.scoring.vectors import bytes_of

TEXT_COLUMNS = (*WORDS, "text")


def used_keys(behaviour: DataFrame, products: DataFrame) -> DataFrame:
    """text_key, each once, of all products and of the own texts of events in ``behaviour``'s sequences."""
    catalogue = products.select(product_key().alias("text_key")).where("text_key IS NOT NULL")
    return catalogue.union(behaviour.select(F.explode("text_keys"))).distinct()


def words_of(keys: DataFrame, events: DataFrame, products: DataFrame) -> DataFrame:
    """text_key, each of ``keys`` once, and the words behind it."""
    nothing = (F.lit(None).cast("string").alias(name) for name in WORDS)
    catalogue = products.select(product_key().alias("text_key"), *WORDS, F.lit(None).cast("string").alias("text"))
    said = events.where(F.col("text").isNotNull()).select(text_key().alias("text_key"), *nothing, "text")
    return catalogue.union(said).join(keys, "text_key", "left_semi").dropDuplicates(["text_key"])


def known_texts(keys: DataFrame, text_vectors: DataFrame, text_encoder_version: str) -> DataFrame:
    """text_key, each of ``keys`` that one encoder has read, once even where two runs read it, and the vector."""
    ours = text_vectors.where(F.col("text_encoder_version") == text_encoder_version)
    found = ours.join(keys, "text_key", "left_semi")
    return found.select("text_key", "vector").dropDuplicates(["text_key"])


def with_known(keys: DataFrame, text_vectors: DataFrame, text_encoder_version: str) -> DataFrame:
    """``keys`` with ``known``: true where one encoder has read the text, else null."""
    ours = text_vectors.where(F.col("text_encoder_version") == text_encoder_version)
    return keys.join(ours.select("text_key", F.lit(True).alias("known")).distinct(), "text_key", "left")


def encode_texts(
    missing: DataFrame,
    number: int,
    bundle: str,
    text_encoder_version: str,
    now: datetime,
    texts_per_task: int,
    throughput: Throughput,
) -> DataFrame:
    """``number`` rows of ``words_of`` as rows of ``text_vectors``. ``bundle`` is the name it was shipped under."""
    cores = missing.sparkSession.sparkContext.defaultParallelism
    tasks = max(cores, -(-number // texts_per_task))
    vectors = missing.repartition(tasks).mapInArrow(
        partial(_encode_batches, bundle=bundle, throughput=throughput), "text_key BIGINT, vector BINARY"
    )
    facts = {"text_encoder_version": F.lit(text_encoder_version), "created_at": F.lit(now)}
    return vectors.withColumns(facts).select(*schema.TEXT_VECTORS.names)


def _encode_batches(batches: Iterator[pa.RecordBatch], bundle: str, throughput: Throughput) -> Iterator[pa.RecordBatch]:
    reader = workers.predictor(bundle).reader
    assert isinstance(reader, EventReader)  # noqa: S101 - asked only for bundles of unit `event`
    for batch in batches:
        rows = batch.select(TEXT_COLUMNS).to_pylist()
        texts = [own_text(row) if row["text"] is not None else product_text(row) for row in rows]
        with throughput.measured(bundle):
            vectors = reader.read_texts(texts).astype("<f2")
        yield pa.record_batch({"text_key": batch.column("text_key"), "vector": bytes_of(vectors)})


def ship_vectors(context: SparkContext, known: DataFrame, name: str) -> str:
    """Send the vectors of ``known`` (text_key, vector), each key once, to every executor; gives ``name``.

    The driver writes them row by row as they come, so it never holds them all.
    """
    scratch = Path(mkdtemp(prefix="ulvspark-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    write_vectors(known, *(scratch / file for file in workers.files_of(name)))
    # File by file: a folder is sent by local mode alone.
    for file in workers.files_of(name):
        context.addFile(str(scratch / file))
    return name


def write_vectors(known: DataFrame, keys_file: Path, states_file: Path) -> None:
    """Keys, rising, and states, as ``workers.text_vectors`` maps them."""
    ordered = known.select("text_key", "vector").orderBy("text_key")
    keys = np.lib.format.open_memmap(keys_file, "w+", np.int64, (ordered.count(),))
    states: np.memmap | None = None
    for place, row in enumerate(ordered.toLocalIterator()):
        vector = np.frombuffer(row["vector"], dtype="<f2")
        if states is None:
            states = np.lib.format.open_memmap(states_file, "w+", np.float16, (len(keys), len(vector)))
        keys[place], states[place] = row["text_key"], vector
    if states is None:
        np.save(states_file, np.empty((0, 1), np.float16))
