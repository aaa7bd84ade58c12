"""Loads that read only what is new end in the same tables as loads that read everything."""

from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.load_source import main
from tests.spark.source_files import COLUMNS, row, source, write_yaml
from ulvspark.warehouse.tables import Warehouse

NIGHTS = (
    # The first load; a day with a correction, an event that came late, one that moved to another user and day; and a
    # day on which one event is gone, and another one is no longer what the filter lets through.
    [row(line=str(n), time=f"2024-01-0{n} 12:00:00", price=f"{n}.50") for n in (1, 2, 3, 4)],
    [
        row(line="1", time="2024-01-01 12:00:00", price="9.00"),
        row(line="2", time="2024-01-02 12:00:00", price="2.50"),
        row(line="3", time="2024-01-01 12:00:00", price="3.50", customer="bob"),
        row(line="4", time="2024-01-04 12:00:00", price="4.50"),
        row(line="5", time="2024-01-02 12:00:00", price="1.00"),
        row(line="6", time="2024-01-05 12:00:00", price="7.00"),
    ],
    [
        row(line="1", time="2024-01-01 12:00:00", price="9.00"),
        row(line="2", time="2024-01-02 12:00:00", price="2.50", money="test"),
        row(line="3", time="2024-01-01 12:00:00", price="3.50", customer="bob"),
        row(line="5", time="2024-01-02 12:00:00", price="1.00"),
        row(line="6", time="2024-01-05 12:00:00", price="7.00"),
        row(line="7", time="2024-01-06 12:00:00", price="6.00"),
    ],
)


def write_night(spark, path: Path, lines: list[dict]) -> None:
    """Bring a Delta table to ``lines`` as a company would: by a merge, which its change feed records."""
    names = list(row())
    frame = spark.createDataFrame([tuple(line[name] for name in names) for line in lines], names)
    place = Warehouse(spark, str(path.parent))
    if not place.exists(path.name):
        place.replace(frame, path.name, {"delta.enableChangeDataFeed": "true"})
        return
    same = " AND ".join(f"t.{name} <=> s.{name}" for name in names)
    merge = place.delta_table(path.name).alias("t").merge(frame.alias("s"), "t.line = s.line")
    merge = merge.whenMatchedUpdateAll(condition=f"NOT ({same})").whenNotMatchedInsertAll()
    merge.whenNotMatchedBySourceDelete().execute()


def mapping(folder: Path, incremental: bool) -> str:
    read = {"format": "delta", "path": "lines"}
    events = {"read": read, "columns": COLUMNS, "filter": "money <> 'test'", "incremental": incremental}
    catalogue = {"read": read, "latest_by": "line", "columns": {"product_id": "sku", "title": "kind"}}
    content = source(events=[events], products=catalogue, vanished="delete")
    return write_yaml(folder / f"shop_{incremental}.yaml", content)


def load(folder: Path, yaml: str, name: str, *more: str) -> Warehouse:
    given = [f"--source={yaml}", f"--source-root={folder}", f"--warehouse={folder / name}", *more]
    assert main([*given, "--clock=2024-06-01T00:00:00"]) == 0


def tables(warehouse: Warehouse) -> dict[str, list[tuple]]:
    found = {}
    for name in ("events", "price_days"):
        frame = warehouse.read(name)
        # A price day on which nothing is left may stand there with zeros.
        frame = frame.where("bought <> 0") if name == "price_days" else frame
        found[name] = sorted(map(tuple, frame.select(*sorted(frame.columns)).collect()), key=str)
    return found


@pytest.fixture(scope="module")
def week(spark, tmp_path_factory):
    """Two warehouses after the same nights: one read what was new, one read everything."""
    folder = tmp_path_factory.mktemp("week")
    for lines in NIGHTS:
        write_night(spark, folder / "lines", lines)
        load(folder, mapping(folder, True), "new")
        load(folder, mapping(folder, False), "whole", "--full")
    return Warehouse(spark, str(folder / "new")), Warehouse(spark, str(folder / "whole"))


def test_nights_that_read_what_is_new_end_in_the_tables_of_full_ones(week):
    new, whole = map(tables, week)
    assert new == whole
    assert {each["event_id"] for each in week[0].read("events").collect()} == {"1", "3", "5", "6", "7"}


def test_only_what_is_new_was_read(week):
    counts = {name: [] for name in ("events_read", "events_changed", "events_new", "events_deleted")}
    for run in week[0].read("ulv_runs").orderBy("started_at").collect():
        for name, numbers in counts.items():
            numbers.append(run["counts"].get(name))
    assert counts == {
        "events_read": [4, 4, 1],
        "events_changed": [0, 2, 0],
        "events_new": [4, 2, 1],
        "events_deleted": [None, None, 2],
    }


def test_sums_of_prices_are_those_of_all_events(week):
    events = week[0].read("events").where("event_type = 'purchase' AND unit_price > 0")
    wanted = events.groupBy("product_id", F.to_date("event_time").alias("day"))
    wanted = {(each[0], each[1]): tuple(each)[2:] for each in wanted.agg(F.count("*"), F.sum("unit_price")).collect()}
    kept = week[0].read("price_days").where("bought <> 0")
    assert {(each.product_id, each.day): (each.bought, each.paid) for each in kept.collect()} == wanted
