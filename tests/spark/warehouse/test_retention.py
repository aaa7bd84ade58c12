"""Caches forget encoders that are no longer at work, and nothing else."""

from datetime import UTC, datetime, timedelta

from ulvspark.contract import schema
from ulvspark.warehouse.retention import RetentionConfig, forget_stale, forget_unused

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_only_encoders_without_new_vectors_are_forgotten(warehouse):
    warehouse.ensure(schema.TEXT_VECTORS)
    made = {"tonight's": [90], "challenger": [90, 3], "old": [90, 40]}
    rows = [
        (version, number, b"vector", NOW - timedelta(days=age))
        for version, ages in made.items()
        for number, age in enumerate(ages)
    ]
    warehouse.append(warehouse.spark.createDataFrame(rows, schema.TEXT_VECTORS.ddl), schema.TEXT_VECTORS.name)
    config = RetentionConfig(stale_encoder_days=30)
    assert forget_stale(warehouse, schema.TEXT_VECTORS, "tonight's", NOW, config) == 1
    kept = warehouse.read(schema.TEXT_VECTORS.name).groupBy("text_encoder_version").count().collect()
    assert dict(map(tuple, kept)) == {"tonight's": 1, "challenger": 2}
    version = warehouse.version(schema.TEXT_VECTORS.name)
    assert forget_stale(warehouse, schema.TEXT_VECTORS, "tonight's", NOW, config) == 0
    assert warehouse.version(schema.TEXT_VECTORS.name) == version


def test_vectors_that_nobody_needs_go_once_there_are_many_of_them(spark, warehouse):
    cache, days = schema.USER_VECTORS, timedelta(days=1)
    warehouse.ensure(cache)
    held = {"ours": 5, "challenger": 3}
    rows = [(version, f"h{n}", b"v", NOW - n * days) for version, number in held.items() for n in range(number)]
    warehouse.append(spark.createDataFrame(rows, cache.ddl), cache.name)

    def tonight(*hashes):
        used = spark.createDataFrame([(each,) for each in hashes], "history_hash STRING")
        return forget_unused(warehouse, cache, "ours", used, len(hashes))

    version = warehouse.version(cache.name)
    assert (tonight("h0", "h1", "h4"), warehouse.version(cache.name)) == (0, version), "five are not twice three"
    assert tonight("h0", "h4") == 3
    kept = warehouse.read(cache.name).select("user_encoder_version", "history_hash").collect()
    assert sorted(map(tuple, kept)) == [("challenger", f"h{n}") for n in range(3)] + [("ours", "h0"), ("ours", "h4")]
