"""The warehouse's reads and writes, by folder and by catalog name."""

import pytest

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import EVENTS, Column, Table
from ulvspark.warehouse.tables import MergeCounts, Warehouse

THINGS = Table("things", (Column("thing_id", "STRING", True), Column("worth", "INT")), key=("thing_id",))


def rows(warehouse, name="things", version=None):
    return sorted((row.thing_id, row.worth) for row in warehouse.read(name, version).collect())


def test_a_table_lives_by_folder_or_by_name(spark, place):
    frame = spark.createDataFrame([("a", 1), ("b", 2)], THINGS.ddl)
    place.ensure(THINGS)
    assert place.properties("things")["delta.enableChangeDataFeed"] == "true"

    first = place.append(frame, "things")
    changed = spark.createDataFrame([("b", 3), ("c", 4), ("a", 1)], THINGS.ddl)
    assert place.merge(changed, THINGS, "t.worth <> s.worth") == MergeCounts(inserted=1, updated=1)
    assert place.merge(changed, THINGS, "t.worth <> s.worth") == MergeCounts(inserted=0, updated=0)
    assert place.merge(changed.limit(0), THINGS, "t.worth <> s.worth") == MergeCounts(inserted=0, updated=0)
    assert rows(place) == [("a", 1), ("b", 3), ("c", 4)]
    assert rows(place, version=first) == [("a", 1), ("b", 2)]

    before = place.overwrite(frame.limit(0), "things", where="thing_id = 'c'")
    assert rows(place) == [("a", 1), ("b", 3)]

    last = place.replace(frame, "things", {"ulvspark.note": "it's \\ here"}, partition_by=("worth",))
    assert place.properties("things")["ulvspark.note"] == "it's \\ here"
    assert (rows(place), place.version("things")) == ([("a", 1), ("b", 2)], last)
    assert last == before + 1, "one commit"
    place.drop("things")
    assert not place.exists("things")


def test_a_missing_table_is_one_clear_sentence(warehouse):
    with pytest.raises(ExpectedError, match="has no table events; run the job"):
        warehouse.read("events")
    with pytest.raises(ExpectedError, match="has no table events"):
        warehouse.settings()
    warehouse.ensure(EVENTS)
    with pytest.raises(ExpectedError, match="was not made by load_source; run that first"):
        warehouse.settings()


def test_a_missing_database_is_one_clear_sentence(spark):
    nowhere = Warehouse(spark, "catalog:nowhere")
    with pytest.raises(ExpectedError, match="has no table events; run the job"):
        nowhere.settings()
    with pytest.raises(ExpectedError, match="there is no database nowhere; create it"):
        nowhere.ensure(THINGS)
