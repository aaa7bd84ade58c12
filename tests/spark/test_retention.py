"""Caches forget encoders that are no longer at work, and nothing else."""

from datetime import UTC, datetime, timedelta

from ulvspark.contract import schema
from ulvspark.warehouse.retention import RetentionConfig, forget_stale

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
