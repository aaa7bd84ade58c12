"""What a load reads of a table that earlier loads have read: versions, files, and times."""

import os
from datetime import datetime

import pandas as pd
import pytest

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import TableMapping
from ulvspark.intake.reading.new_rows import all_rows, new_rows
from ulvspark.intake.reading.source_tables import read_table
from ulvspark.warehouse.tables import Warehouse


def mapping(format: str, path: str, incremental: bool | dict = True) -> TableMapping:
    read = {"format": format, "path": path}
    columns = {"event_id": "id", "user_id": "id", "event_time": "at", "event_type": "'view'"}
    return TableMapping.model_validate({"read": read, "columns": columns, "incremental": incremental})


@pytest.fixture
def read(spark, tmp_path):
    """A function that reads what is new since the last call, and gives the ids, and whether all rows were read."""
    last = {}

    def read(mapped: TableMapping) -> tuple[list[int], bool]:
        table = read_table(spark, mapped.read, str(tmp_path), "events")
        rows = (
            new_rows(spark, mapped, str(tmp_path), table, last, "id")
            if last
            else all_rows(spark, mapped, str(tmp_path), table)
        )
        last.clear()
        last.update(rows.position)
        return sorted(int(row["id"]) for row in rows.rows.select("id").collect()), rows.is_whole

    return read


def test_of_a_delta_table_without_a_change_feed_the_added_files_are_read(spark, tmp_path, read):
    place, orders = Warehouse(spark, str(tmp_path)), mapping("delta", "orders")
    place.append(spark.range(3), "orders")
    assert read(orders) == ([0, 1, 2], True)
    assert read(orders) == ([], False)
    place.append(spark.range(10, 12), "orders")
    place.append(spark.range(12, 13), "orders")
    assert read(orders) == ([10, 11, 12], False)
    place.delta_table("orders").delete("id = 1")
    assert read(orders) == ([0, 2, 10, 11, 12], True), "rows are gone, and the log alone does not say which"
    place.drop("orders")
    place.append(spark.range(5, 7), "orders")
    assert read(orders) == ([5, 6], True), "another table took the name"


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_of_a_folder_the_files_that_are_new_or_written_again_are_read(tmp_path, read, format):
    days = tmp_path / "days"
    days.mkdir()

    def write(name: str, ids: list[int]) -> None:
        frame = pd.DataFrame({"id": ids, "at": "2024-01-01"})
        path = days / f"{name}.{format}"
        frame.to_csv(path, index=False) if format == "csv" else frame.to_parquet(path)

    table = mapping(format, "days")
    write("one", [1, 2])
    assert read(table) == ([1, 2], True)
    write("two", [3])
    assert read(table) == ([3], False)
    write("one", [1, 2, 4])
    os.utime(days / f"one.{format}", (2_000_000_000, 2_000_000_000))
    assert read(table) == ([1, 2, 4], False)
    (days / f"two.{format}").unlink()
    assert read(table) == ([], False)


def test_by_a_column_of_times_rows_are_read_that_are_no_older_than_the_overlap(spark, tmp_path, read):
    def write(days: dict[int, int]) -> None:
        frame = pd.DataFrame([(id, datetime(2024, 1, day)) for id, day in days.items()], columns=["id", "at"])
        frame["at"] = frame["at"].astype("datetime64[us]")
        frame.to_parquet(tmp_path / "lines.parquet")

    table = mapping("parquet", "lines.parquet", {"since": "at", "overlap_days": 2})
    write({})
    assert read(table) == ([], True)
    write({1: 3, 2: 10})
    assert read(table) == ([1, 2], True)
    write({1: 3, 2: 10, 3: 8, 4: 7, 5: 20})
    assert read(table) == ([2, 3, 5], False), "4 is older than two days before the newest one that was known"
    typed_wrong = pd.DataFrame({"id": [6, 7, 8], "at": [datetime(2024, 1, 21), datetime(2100, 1, 1), None]})
    typed_wrong.astype({"at": "datetime64[us]"}).to_parquet(tmp_path / "lines.parquet")
    assert read(table) == ([6, 7, 8], False), "nobody knows whether a row without a time is new"
    write({1: 3, 9: 22})
    assert read(table) == ([9], False), "a year that lies ahead hides no later row"
    with pytest.raises(ExpectedError, match=r"names .changed., which is not a date or timestamp"):
        read(mapping("parquet", "lines.parquet", {"since": "changed"}))
