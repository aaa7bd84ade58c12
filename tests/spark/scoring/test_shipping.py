"""What workers need reaches them, on a cluster too."""

from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np

from ulvspark.history.packing import rows_as_bytes
from ulvspark.scoring import texts, workers


def test_vectors_of_texts_reach_a_worker_file_by_file(spark):
    states = np.arange(12, dtype="<f2").reshape(4, 3)
    keys = [7, 3, 9, 1]
    known = spark.createDataFrame(
        list(zip(keys, rows_as_bytes(states).to_pylist(), strict=True)), "text_key BIGINT, vector BINARY"
    )
    name = texts.ship_vectors(spark.sparkContext, known, "texts-shipped")

    def read(_):
        found = workers.text_vectors(name)
        return [(found.keys.tolist(), found.states.tolist(), isinstance(found.states, np.memmap))]

    [(found, read_states, mapped)] = spark.sparkContext.parallelize([0], 1).mapPartitions(read).collect()
    assert found == sorted(keys)
    assert read_states == states[np.argsort(keys)].tolist()
    assert mapped, "the workers of a host share one copy"
    sent = [Path(unquote(urlparse(each).path)) for each in spark.sparkContext.listFiles if name in each]
    assert len(sent) == 2
    assert all(each.is_file() for each in sent), "only local mode sends a folder"


def test_texts_that_are_none_are_shipped_too(spark):
    nothing = spark.createDataFrame([], "text_key BIGINT, vector BINARY")
    texts.ship_vectors(spark.sparkContext, nothing, "texts-none")
    vectors = workers.text_vectors("texts-none")
    assert (len(vectors.keys), vectors.states.shape) == (0, (0, 1))
