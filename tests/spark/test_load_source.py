"""The load job from end to end: merging, stamps that stay, exit codes, and nothing written when the source is wrong."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

from jobs.load_source import main
from tests.spark.source_files import COLUMNS, row, source, write, write_yaml
from ulvspark.contract.config import validate
from ulvspark.contract.errors import ExpectedError, run_as_job
from ulvspark.contract.source import SourceConfig
from ulvspark.history.sources import read_source

ROOT = Path(__file__).parents[2]


@pytest.fixture
def load(warehouse, tmp_path):
    def run(rows, **changes):
        write(tmp_path / "in", rows)
        given = [
            "--source",
            write_yaml(tmp_path / "shop.yaml", source(**changes)),
            "--source-root",
            str(tmp_path / "in"),
        ]
        assert main([*given, "--warehouse", warehouse.root, "--clock", "2024-06-01T00:00:00"]) == 0
        return last_counts(warehouse)

    return run


def last_counts(warehouse):
    return warehouse.read("ulv_runs").orderBy("finished_at", ascending=False).first().counts


def events(warehouse):
    return {each.event_id: each for each in warehouse.read("events").collect()}


def test_loading_again_changes_only_what_changed(load, warehouse, capsys):
    lines = [row(line=str(n), time=f"2024-01-0{n} 12:00:00") for n in (1, 2, 3, 4)]
    counts = load([*lines, row(customer=None)])
    assert (counts["events_read"], counts["events_new"], counts["events_quarantined_missing_user"]) == (5, 4, 1)
    assert "events: missing_user: 1" in capsys.readouterr().out
    first, version = events(warehouse), warehouse.version("events")
    assert (first["1"].reference_price, first["4"].reference_price) == (None, first["4"].unit_price)

    counts = load(lines)
    assert (counts["events_new"], counts["events_changed"]) == (0, 0)
    assert events(warehouse) == first
    assert warehouse.version("events") == version

    late = row(line="0", time="2023-12-31 12:00:00", price="100")
    lines[1] |= {"pieces": "5"}
    lines[3] |= {"price": "4.00"}
    counts = load([late, *lines])
    assert (counts["events_new"], counts["events_changed"]) == (1, 2)
    second = events(warehouse)
    assert (second["1"], second["3"]) == (first["1"], first["3"]), "a late event changes no stamp"
    assert (second["2"].quantity, second["2"].reference_price) == (5, first["2"].reference_price)
    assert second["4"].reference_price > 20, "a new price is stamped anew, with what is known now"
    assert warehouse.properties("events")["delta.enableChangeDataFeed"] == "true"


def test_products_and_users_follow_the_source(load, warehouse, tmp_path):
    def catalogue(title, age):
        write(tmp_path / "in", [row(kind=title, price=age)], "facts.parquet")
        read = {"format": "parquet", "path": "facts.parquet"}
        attributes = "map('age', price, 'kind', 'x')"
        return {
            "products": {"read": read, "columns": {"product_id": "sku", "title": "kind"}},
            "users": {"read": read, "columns": {"user_id": "customer", "attributes": attributes}},
        }

    load([row()], **catalogue("Mug", "30"))
    counts = load([row()], **catalogue("Mug", "30"))
    assert [counts[f"{name}_{what}"] for name in ("products", "users") for what in ("new", "changed")] == [0, 0, 0, 0]
    counts = load([row()], **catalogue("Blue mug", "31"))
    assert (counts["products_changed"], counts["users_changed"]) == (1, 1)
    assert warehouse.read("products").first().title == "Blue mug"
    assert warehouse.read("users").first().attributes == {"age": "31", "kind": "x"}


def test_a_warehouse_keeps_its_currency_and_time_zone(load, warehouse):
    load([row()])
    assert (warehouse.settings().currency, warehouse.settings().time_zone) == ("GBP", "Europe/London")
    with pytest.raises(ExpectedError, match=r"in EUR and Europe/London, but warehouse .* holds GBP"):
        load([row(line="2")], currency="EUR")
    assert warehouse.read("events").count() == 1


def test_a_wrong_source_ends_with_2_and_one_line_and_writes_nothing(load, warehouse, capsys):
    def job(_):
        return load([row()], columns={**COLUMNS, "user_id": "nobody"})

    with pytest.raises(SystemExit) as ended:
        run_as_job(job)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "shop.yaml: events.user_id from lines.parquet: 'nobody' names `nobody`, which is not there" in line
    assert "the table has: line string, customer string" in line
    assert not Path(warehouse.root).exists()


def test_times_and_ids_do_not_depend_on_the_machine(spark, tmp_path):
    """A whole process whose own clock is elsewhere, in Python and in the JVM."""
    write(tmp_path / "in", [row(time="2024-01-05 00:30:00"), row(line="2", time="2024-06-01 02:00:00")])
    content = source({name: sql for name, sql in COLUMNS.items() if name != "event_id"})
    command = [
        sys.executable, "jobs/load_source.py", "--source", write_yaml(tmp_path / "shop.yaml", content),
        "--source-root", str(tmp_path / "in"), "--warehouse", str(tmp_path / "w"), "--clock", "2024-06-01",
    ]  # fmt: skip
    elsewhere = os.environ | {"TZ": "America/Los_Angeles", "JAVA_TOOL_OPTIONS": "-Duser.timezone=Asia/Tokyo"}
    done = subprocess.run(command, cwd=ROOT, env=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "future_event_time: 1" in done.stdout
    (loaded,) = DeltaTable(tmp_path / "w" / "events").to_pyarrow_table().to_pylist()
    assert loaded["event_time"].isoformat() == "2024-01-05T00:30:00+00:00"
    assert loaded["ingested_at"].isoformat() == "2024-06-01T00:00:00+00:00"
    assert loaded["order_id"] == "ann/2024-01-05"
    here = validate(SourceConfig, content, "shop.yaml")
    mapped = read_source(spark, here, str(tmp_path / "in"), datetime(2024, 6, 1, tzinfo=UTC), "run")
    assert [loaded["event_id"]] == [each.event_id for each in mapped.events.collect()]
