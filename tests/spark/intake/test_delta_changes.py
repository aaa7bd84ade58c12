"""What changed in a company's Delta table is known, or said to be unknown: then all its rows are read."""

import pytest

from ulvspark.contract.source.source import ReadFrom
from ulvspark.intake.reading.delta_changes import Changes, delta_source, new_delta_rows
from ulvspark.warehouse.tables import Warehouse

LINES = ReadFrom(format="delta", path="lines")
UNCHECKED = "spark.databricks.delta.retentionDurationCheck.enabled"


@pytest.fixture
def shop(spark, tmp_path):
    return Warehouse(spark, str(tmp_path))


def add(shop, *lines):
    shop.append(shop.spark.createDataFrame([(line,) for line in lines], "line INT"), "lines")


def source(shop):
    return delta_source(shop.spark, LINES, shop.root)


def changes(shop, last):
    return new_delta_rows(source(shop), {"id": last.id, "version": last.version}, None, "line")


def test_files_that_were_joined_since_they_were_added_are_not_passed_over(shop):
    add(shop, 1)
    last = source(shop)
    add(shop, 2)
    add(shop, 3)
    added = changes(shop, last)
    assert isinstance(added, Changes)
    assert sorted(row.line for row in added.rows.collect()) == [2, 3]
    shop.spark.sql(f"OPTIMIZE {shop.identifier('lines')}")
    assert changes(shop, last) == "added files were joined with others since"


def test_a_change_feed_that_was_vacuumed_is_noticed(shop):
    add(shop, 1, 2)
    shop.set_properties("lines", {"delta.enableChangeDataFeed": "true"})
    last = source(shop)
    shop.spark.sql(f"UPDATE {shop.identifier('lines')} SET line = 4 WHERE line = 2")
    known = changes(shop, last)
    assert isinstance(known, Changes)
    assert [row.line for row in known.rows.collect()] == [4]
    shop.spark.conf.set(UNCHECKED, "false")
    shop.spark.sql(f"VACUUM {shop.identifier('lines')} RETAIN 0 HOURS")
    shop.spark.conf.unset(UNCHECKED)
    assert changes(shop, last) == "rows were removed or rewritten, and no change feed tells which"
