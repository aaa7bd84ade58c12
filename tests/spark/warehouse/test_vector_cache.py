"""Caches of vectors: every vector is made once, read once, and removed when no longer needed."""

from datetime import UTC, datetime, timedelta

import pytest

from ulvspark.contract import schema
from ulvspark.warehouse.vector_cache import RetentionConfig, open_cache, remove_stale_encoders

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def add(warehouse, table, rows):
    warehouse.ensure(table)
    warehouse.append(warehouse.spark.createDataFrame(rows, table.ddl), table.name)


def hashes(spark, *values):
    return spark.createDataFrame([(value,) for value in values], "history_hash STRING")


def test_only_missing_keys_are_encoded_and_the_filled_cache_holds_all(spark, warehouse):
    add(warehouse, schema.USER_VECTORS, [("ours", "a", b"A", NOW), ("other", "b", b"?", NOW)])
    asked = []

    def encode(lookup):
        keys = [row.history_hash for row in lookup.missing_keys().collect()]
        asked.append(sorted(keys))
        rows = [(key, key.upper().encode()) for key in keys]
        return spark.createDataFrame(rows, "history_hash STRING, vector BINARY")

    cache = open_cache(warehouse, schema.USER_VECTORS, "ours")
    filled = cache.fill(hashes(spark, "a", "b", "b", "c", None), encode)
    assert asked == [["b", "c"]], "another encoder's vector is none, repeats are one, and null is no key"
    assert (filled.lookup.wanted, filled.lookup.known, filled.lookup.missing) == (3, 1, 2)
    assert sorted(map(tuple, filled.cache.vectors().collect())) == [("a", b"A"), ("b", b"B"), ("c", b"C")]
    assert cache.vectors().count() == 1, "a cache stays at the version it was opened at"
    assert filled.cache.fill(hashes(spark, "c", "a"), encode).cache == filled.cache, "nothing is missing any more"
    assert len(asked) == 1


def test_a_key_that_two_runs_added_is_one_vector(warehouse):
    row = ("ours", "a", b"A", NOW)
    add(warehouse, schema.USER_VECTORS, [row, row])
    assert open_cache(warehouse, schema.USER_VECTORS, "ours").vectors().collect() == [("a", b"A")]


def test_the_vectors_of_wanted_keys_are_those_alone(spark, warehouse):
    rows = [("ours", 1, b"a", NOW), ("ours", 1, b"a", NOW), ("ours", 2, b"b", NOW), ("other", 3, b"c", NOW)]
    add(warehouse, schema.TEXT_VECTORS, rows)
    wanted = spark.createDataFrame([(1,)], "text_key BIGINT")
    filled = open_cache(warehouse, schema.TEXT_VECTORS, "ours").fill(wanted, lambda _: pytest.fail("1 is known"))
    assert filled.wanted_vectors().collect() == [(1, b"a")]


def test_only_encoders_without_new_vectors_are_removed(warehouse):
    ages_in_days = {"current": [90], "challenger": [90, 3], "old": [90, 40]}
    rows = [
        (version, number, b"vector", NOW - timedelta(days=age))
        for version, ages in ages_in_days.items()
        for number, age in enumerate(ages)
    ]
    add(warehouse, schema.TEXT_VECTORS, rows)
    config = RetentionConfig(stale_encoder_days=30)
    assert remove_stale_encoders(warehouse, schema.TEXT_VECTORS, "current", NOW, config) == 1
    kept = warehouse.read(schema.TEXT_VECTORS.name).groupBy("text_encoder_version").count().collect()
    assert dict(map(tuple, kept)) == {"current": 1, "challenger": 2}
    version = warehouse.version(schema.TEXT_VECTORS.name)
    assert remove_stale_encoders(warehouse, schema.TEXT_VECTORS, "current", NOW, config) == 0
    assert warehouse.version(schema.TEXT_VECTORS.name) == version


def test_unused_vectors_go_once_they_outnumber_the_others(spark, warehouse):
    table = schema.USER_VECTORS
    held = {"ours": 5, "challenger": 3}
    rows = [(version, f"h{n}", b"v", NOW) for version, number in held.items() for n in range(number)]
    add(warehouse, table, rows)

    def removed(*wanted):
        cache = open_cache(warehouse, table, "ours")
        return cache.fill(hashes(spark, *wanted), lambda _: pytest.fail("all are known")).remove_unused()

    version = warehouse.version(table.name)
    assert (removed("h0", "h1", "h4"), warehouse.version(table.name)) == (0, version), "five are not twice three"
    assert removed("h0", "h4") == 3
    kept = warehouse.read(table.name).select("user_encoder_version", "history_hash").collect()
    assert sorted(map(tuple, kept)) == [("challenger", f"h{n}") for n in range(3)] + [("ours", "h0"), ("ours", "h4")]
