"""Encode texts (unit ``event``): titles, searches and reviews not read before -> vectors, sent to every executor."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pyarrow as pa
from pyspark import Accumulator, SparkContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.storage.scratch import scratch_folder
from ulvspark.history.packing import rows_as_bytes, rows_from_bytes
from ulvspark.history.rows import WORDS, product_key, text_key
from ulvspark.history.text import own_text, product_text
from ulvspark.model.inference.reader import EventReader
from ulvspark.scoring import workers
from ulvspark.scoring.workers import ShippedModel

TEXT_COLUMNS = (*WORDS, "text")

STATE_DTYPE = np.dtype("<f2")
"""The vectors of texts are kept as little-endian float16."""

VECTORS_PER_BLOCK = 100_000
"""Vectors of texts that the driver holds at once: 77 MB for MiniLM, and some seconds for each block."""


def wanted_texts(behaviour: DataFrame, products: DataFrame) -> DataFrame:
    """text_key of all products, and of the events' own texts in ``behaviour``; keys may repeat."""
    titles = products.select(product_key().alias("text_key")).where("text_key IS NOT NULL")
    return titles.union(behaviour.select(F.explode("text_keys")))


def words_of(keys: DataFrame, events: DataFrame, products: DataFrame) -> DataFrame:
    """The words behind each of ``keys`` (text_key), once: those of a product, or an event's own text."""
    no_words = (F.lit(None).cast("string").alias(name) for name in WORDS)
    titles = products.select(product_key().alias("text_key"), *WORDS, F.lit(None).cast("string").alias("text"))
    own_texts = events.where(F.col("text").isNotNull()).select(text_key().alias("text_key"), *no_words, "text")
    return titles.union(own_texts).join(keys, "text_key", "left_semi").dropDuplicates(["text_key"])


def encode_texts(
    words: DataFrame, number: int, model: ShippedModel, texts_per_task: int, tokens: "Accumulator[int]"
) -> DataFrame:
    """Columns text_key and vector (float16 bytes) of the ``number`` rows of ``words`` (see ``words_of``).

    The tokens that BERT reads are added to ``tokens``.
    """
    tasks = max(words.sparkSession.sparkContext.defaultParallelism, -(-number // texts_per_task))
    encode_batches = partial(_encode_batches, model=model, tokens=tokens)
    return words.repartition(tasks).mapInArrow(encode_batches, "text_key BIGINT, vector BINARY")


def _encode_batches(
    batches: Iterator[pa.RecordBatch], model: ShippedModel, tokens: "Accumulator[int]"
) -> Iterator[pa.RecordBatch]:
    reader = workers.predictor(model.bundle).reader
    assert isinstance(reader, EventReader)  # noqa: S101 - called only for bundles of unit `event`
    for batch in batches:
        rows = batch.select(TEXT_COLUMNS).to_pylist()
        texts = [own_text(row) if row["text"] is not None else product_text(row) for row in rows]
        with workers.counted_tokens(model.bundle, tokens):
            vectors = reader.encode_texts(texts).astype(STATE_DTYPE)
        yield pa.record_batch({"text_key": batch.column("text_key"), "vector": rows_as_bytes(vectors)})


def ship_vectors(context: SparkContext, vectors: DataFrame, name: str) -> str:
    """Send ``vectors`` (text_key, vector; each key once) to every executor under ``name``, which is returned."""
    scratch = Path(mkdtemp(dir=scratch_folder()))
    files = [scratch / file for file in workers.text_vector_files(name)]
    write_vectors(vectors, *files)
    # One file at a time: only local mode can send a folder.
    for file in files:
        context.addFile(str(file))
    return name


def write_vectors(vectors: DataFrame, keys_file: Path, states_file: Path) -> None:
    """Write the keys, rising, and the states (n, D) as the arrays that ``workers.text_vectors`` maps into memory.

    Vectors come block by block, so the driver never holds them all; as Arrow, so no Python worker has to start.
    """
    keys = np.sort(vectors.select("text_key").toArrow().column("text_key").to_numpy())
    np.save(keys_file, keys)
    if not len(keys):
        np.save(states_file, np.empty((0, 1), STATE_DTYPE))
        return
    states, written = None, 0
    for start in range(0, len(keys), VECTORS_PER_BLOCK):
        block = keys[start : start + VECTORS_PER_BLOCK]
        within = vectors.where(F.col("text_key").between(int(block[0]), int(block[-1]))).orderBy("text_key")
        for batch in within.select("vector").toArrow().to_batches():
            rows = rows_from_bytes(batch.column("vector"), STATE_DTYPE)
            if states is None:
                shape = (len(keys), rows.shape[1])
                states = np.lib.format.open_memmap(states_file, "w+", STATE_DTYPE, shape)
            states[written : written + len(rows)] = rows
            written += len(rows)
