"""The warehouse's reads and writes, by folder and by catalog name."""

import contextlib
import shutil
import time
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError, RetryableError
from ulvspark.contract.schema import EVENTS, Column, Table
from ulvspark.warehouse import compaction
from ulvspark.warehouse.changes.change_feed import commit_note, newest_commit_note
from ulvspark.warehouse.keyed_writes import MergeCounts, merge
from ulvspark.warehouse.lease import SCORES
from ulvspark.warehouse.lease.lease import take
from ulvspark.warehouse.lease.places import place_of
from ulvspark.warehouse.settings import CURRENCY, TIME_ZONE, read_settings
from ulvspark.warehouse.staging import drop_abandoned, staging_area
from ulvspark.warehouse.tables import FOR_EVERY_READER, FORMAT, Warehouse

THINGS = Table("things", (Column("thing_id", "STRING", True), Column("worth", "INT")), key=("thing_id",))


def rows(warehouse, name="things", version=None):
    return sorted((row.thing_id, row.worth) for row in warehouse.read(name, version).collect())


def test_a_table_lives_by_folder_or_by_name(spark, place):
    frame = spark.createDataFrame([("a", 1), ("b", 2)], THINGS.ddl)
    place.ensure(THINGS)
    assert place.properties("things")["delta.enableChangeDataFeed"] == "true"

    first = place.append(frame, "things")
    changed = spark.createDataFrame([("b", 3), ("c", 4), ("a", 1)], THINGS.ddl)
    assert merge(place, changed, THINGS, "t.worth <> s.worth") == MergeCounts(inserted=1, updated=1)
    assert merge(place, changed, THINGS, "t.worth <> s.worth") == MergeCounts(inserted=0, updated=0)
    assert merge(place, changed.limit(0), THINGS, "t.worth <> s.worth") == MergeCounts(inserted=0, updated=0)
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


def test_of_two_jobs_that_change_the_same_rows_one_is_told_to_run_again(spark, warehouse, tmp_path):
    warehouse.ensure(THINGS)
    warehouse.append(spark.createDataFrame([("a", 1)], THINGS.ddl), "things")
    begun, done = tmp_path / "begun", tmp_path / "done"

    def other():
        wait_for(begun)
        warehouse.delete("things", F.col("worth") == 1)
        done.touch()

    job = Thread(target=other)
    job.start()
    # In one task, else both of two cores would wait.
    changed = spark.createDataFrame([("a", 2)], THINGS.ddl).coalesce(1)
    slow = changed.mapInPandas(partial(passed_on, begun=begun, done=done), THINGS.ddl)
    with pytest.raises(RetryableError, match=r"table things: another job wrote to it .*Concurrent.*; run again"):
        merge(warehouse, slow, THINGS, "t.worth <> s.worth")
    job.join()
    assert rows(warehouse) == []


def passed_on(frames, begun, done):
    begun.touch()
    wait_for(done)
    yield from frames


def wait_for(path: Path) -> None:
    until = time.monotonic() + 120
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.05)


def test_a_note_is_of_the_commits_it_was_made_with(spark, warehouse):
    warehouse.ensure(THINGS)
    frame = spark.createDataFrame([("a", 1)], THINGS.ddl)
    with commit_note(warehouse, "made from 1"):
        with commit_note(warehouse, "made from 2"):
            warehouse.append(frame, "things")
        assert newest_commit_note(warehouse, "things") == "made from 2"
        noted = warehouse.append(frame, "things")
    spark.sql(f"OPTIMIZE {warehouse.identifier('things')}")
    assert warehouse.version("things") > noted
    assert newest_commit_note(warehouse, "things") == "made from 1", "rows are where they were"
    warehouse.append(frame, "things")
    assert newest_commit_note(warehouse, "things") is None


def test_many_small_files_are_joined_and_few_stay(spark, warehouse, monkeypatch):
    monkeypatch.setattr(compaction, "MANY_FILES", 3)
    warehouse.ensure(THINGS)
    made = [("a", 1), ("b", 2), ("c", 3)]
    numbers = []
    for row in made:
        warehouse.append(spark.createDataFrame([row], THINGS.ddl), "things")
        compaction.compact(warehouse, "things")
        numbers.append(warehouse.number_of_files("things"))
    assert numbers == [1, 2, 1]
    assert rows(warehouse) == made


def test_a_table_that_another_job_was_making_is_found_once_it_is_there(spark, warehouse, tmp_path):
    made = Warehouse(spark, str(tmp_path / "made"))
    made.append(spark.range(1), "numbers")
    log = Path(warehouse.location("numbers")) / "_delta_log"
    log.mkdir(parents=True)
    assert not warehouse.exists("numbers"), "its log has no commit yet"
    shutil.copytree(made.location("numbers"), log.parent, dirs_exist_ok=True)
    assert warehouse.exists("numbers")


def test_a_missing_table_is_one_clear_sentence(warehouse):
    with pytest.raises(ExpectedError, match="has no table events; run the job"):
        warehouse.read("events")
    with pytest.raises(ExpectedError, match="has no table events"):
        read_settings(warehouse)
    warehouse.ensure(EVENTS)
    with pytest.raises(ExpectedError, match="was not made by load_source; run that first"):
        read_settings(warehouse)


def test_a_warehouse_of_another_format_is_one_clear_sentence(warehouse):
    warehouse.ensure(EVENTS, {CURRENCY: "GBP", TIME_ZONE: "Europe/London", FORMAT: "1"})
    with pytest.raises(ExpectedError, match=r"has format 1, but .* reads format \d+; run load_source into a new"):
        read_settings(warehouse)


def test_a_missing_database_is_one_clear_sentence(spark):
    nowhere = Warehouse(spark, "catalog:nowhere")
    with pytest.raises(ExpectedError, match="has no table events; run the job"):
        read_settings(nowhere)
    with pytest.raises(ExpectedError, match="there is no database nowhere; create it"):
        nowhere.ensure(THINGS)


def test_tables_of_killed_runs_are_dropped_and_no_others(spark, place):
    place.ensure(THINGS)
    one = spark.createDataFrame([("a", 1)], THINGS.ddl)
    with contextlib.suppress(KeyboardInterrupt), staging_area(place, "alive", print) as alive:
        take(place_of(place), SCORES, "alive")
        alive.write("things", one)
        killed = staging_area(place, "scheduled__2026-03-01T00:00:00+00:00", print).__enter__()
        killed.write("things", one)
        assert drop_abandoned(place) == 1
        assert sorted(name for name in place.names() if name[0] != "_") == [*alive.names, "things"]
        raise KeyboardInterrupt
    assert [name for name in place.names() if name[0] != "_"] == ["things"]


def test_what_others_read_stays_at_the_first_reader_version(spark, place, monkeypatch):
    spark.conf.set("spark.databricks.delta.properties.defaults.enableDeletionVectors", "true")
    try:
        place.ensure(THINGS, FOR_EVERY_READER)
    finally:
        spark.conf.unset("spark.databricks.delta.properties.defaults.enableDeletionVectors")
    place.overwrite(spark.createDataFrame([("a", 1)], THINGS.ddl), "things")
    assert place.snapshot("things").protocol().minReaderVersion() == 1
    assert FOR_EVERY_READER.items() <= place.properties("things").items()


def test_a_newer_release_may_write_a_column_more(spark, warehouse):
    warehouse.ensure(THINGS)
    warehouse.append(spark.createDataFrame([("a", 1), ("b", 2)], THINGS.ddl), "things")
    more = spark.createDataFrame([("c", 3, "red")], f"{THINGS.ddl}, colour STRING")
    warehouse.append(more, "things")
    warehouse.overwrite(more.withColumn("size", F.lit("xl")), "things", where="thing_id = 'c'")
    found = warehouse.read("things").orderBy("thing_id").collect()
    assert list(map(tuple, found)) == [("a", 1, None, None), ("b", 2, None, None), ("c", 3, "red", "xl")]


def test_a_warehouse_that_is_out_of_reach_is_one_sentence(spark):
    with pytest.raises(ExpectedError, match=r"warehouse nowhere://x cannot be reached \(.*\); check"):
        Warehouse(spark, "nowhere://x").exists("events")
