"""What workers need reaches them, on a cluster too."""

from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np

from ulvspark.scoring import texts, workers
from ulvspark.scoring.vectors import bytes_of


def test_vectors_of_texts_reach_a_worker_file_by_file(spark):
    states = np.arange(12, dtype="<f2").reshape(4, 3)
    keys = [7, 3, 9, 1]
    known = spark.createDataFrame(
        list(zip(keys, bytes_of(states).to_pylist(), strict=True)), "text_key BIGINT, vector BINARY"
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


def test_texts_of_tonight_alone_are_shipped(spark):
    held = spark.createDataFrame(
        [("ours", 1, b"a"), ("ours", 1, b"a"), ("ours", 2, b"b"), ("other", 3, b"c")],
        "text_encoder_version STRING, text_key BIGINT, vector BINARY",
    )
    tonight = spark.createDataFrame([(1,), (3,)], "text_key BIGINT")
    assert [tuple(each) for each in texts.known_texts(tonight, held, "ours").collect()] == [(1, b"a")]
