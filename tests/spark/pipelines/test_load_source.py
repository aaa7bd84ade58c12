"""The load job from end to end: merging, stamps that stay, exit codes, and nothing written when the source is wrong."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import Row

from jobs.load_source import main
from tests.spark.source_files import COLUMNS, row, source, write, write_yaml
from ulvspark.contract.config import validate
from ulvspark.contract.errors import ExpectedError, run_as_job
from ulvspark.contract.source.source import SourceConfig
from ulvspark.intake.sources import map_source, read_source
from ulvspark.warehouse.settings import read_settings
from ulvspark.warehouse.tables import Warehouse

ROOT = Path(__file__).parents[3]


LINES = [row(line=str(n), time=f"2024-01-0{n} 12:00:00") for n in (1, 2, 3, 4)]
BAD = row(customer=None)
LATER = [
    row(line="0", time="2023-12-31 12:00:00", price="100"),
    LINES[0],
    LINES[1] | {"pieces": "5"},
    LINES[2],
    LINES[3] | {"price": "4.00"},
    BAD,
    BAD,
    BAD | {"line": "9"},
]


@dataclass(frozen=True)
class Night:
    """What a load left and said."""

    counts: dict[str, int]
    events: dict[str, Row]
    version: int
    said: str


def arguments(folder, rows, title="Mug", age="30", **changes):
    """The job's arguments for a shop whose lines are ``rows`` and whose one product and user are made of facts."""
    write(folder / "in", rows)
    write(folder / "in", [row(kind=title, price=age)], "facts.parquet")
    read = {"format": "parquet", "path": "facts.parquet"}
    attributes = "map('age', price, 'kind', 'x')"
    facts = {
        "products": {"read": read, "columns": {"product_id": "sku", "title": "kind"}},
        "users": {"read": read, "columns": {"user_id": "customer", "attributes": attributes}},
    }
    given = {
        "source": write_yaml(folder / "shop.yaml", source(**facts | changes)), "source-root": folder / "in",
        "warehouse": folder / "warehouse", "clock": "2024-06-01T00:00:00",
    }  # fmt: skip
    return [f"--{name}={value}" for name, value in given.items()]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def warehouse(spark, shop):
    return Warehouse(spark, str(shop / "warehouse"))


@pytest.fixture(scope="module")
def nights(warehouse, shop):
    """Three loads: the first, the same again, and one with changes everywhere."""

    def load(*given):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            assert main(arguments(shop, *given)) == 0
        counts = warehouse.read("ulv_runs").orderBy("finished_at", ascending=False).first().counts
        events = {each.event_id: each for each in warehouse.read("events").collect()}
        return Night(counts, events, warehouse.version("events"), said.getvalue())

    return load([*LINES, BAD]), load([*LINES, BAD]), load(LATER, "Blue mug", "31")


def test_a_load_counts_what_it_did_with_each_row(nights, warehouse):
    first, _, _ = nights
    assert (first.counts["events_read"], first.counts["events_new"]) == (5, 4)
    assert first.counts["events_quarantined_missing_user"] == 1
    assert "events: missing_user: 1" in first.said
    assert (first.events["1"].reference_price, first.events["4"].reference_price) == (
        None,
        first.events["4"].unit_price,
    )
    assert warehouse.properties("events")["delta.enableChangeDataFeed"] == "true"


def test_loading_the_same_again_changes_nothing(nights):
    first, second, _ = nights
    assert (second.events, second.version) == (first.events, first.version)
    for table, ignored in {"events": 4, "products": 1, "users": 1}.items():
        assert [second.counts[f"{table}_{what}"] for what in ("new", "changed", "ignored")] == [0, 0, ignored]


def test_a_bad_row_stands_in_quarantine_once_however_often_it_comes(nights, warehouse):
    rows = warehouse.read("quarantine").orderBy("quarantined_at", "source_row").collect()
    assert [(each.reason, json.loads(each.source_row)["line"]) for each in rows] == [
        ("missing_user", "1"), ("missing_user", "9"),
    ]  # fmt: skip
    assert nights[2].counts["events_quarantined_missing_user"] == 3


def test_only_what_changed_is_replaced_and_stamps_stay(nights):
    first, _, third = nights
    assert [third.counts[f"events_{what}"] for what in ("new", "changed", "ignored")] == [1, 2, 2]
    before, after = first.events, third.events
    assert (after["1"], after["3"]) == (before["1"], before["3"]), "a late event changes no stamp"
    assert (after["2"].quantity, after["2"].reference_price) == (5, before["2"].reference_price)
    assert after["4"].reference_price > 20, "a new price is stamped anew, with what is known now"


def test_products_and_users_follow_the_source(nights, warehouse):
    assert (nights[2].counts["products_changed"], nights[2].counts["users_changed"]) == (1, 1)
    assert [each.title for each in warehouse.read("products").collect()] == ["Blue mug"]
    assert [each.attributes for each in warehouse.read("users").collect()] == [{"age": "31", "kind": "x"}]


def test_a_warehouse_keeps_its_currency_and_time_zone(nights, warehouse, shop):
    assert (read_settings(warehouse).currency, read_settings(warehouse).time_zone) == ("GBP", "Europe/London")
    with pytest.raises(ExpectedError, match=r"in EUR and Europe/London, but warehouse .* holds GBP"):
        main(arguments(shop, [row(line="2")], currency="EUR"))
    assert warehouse.version("events") == nights[2].version


def test_a_load_names_the_columns_that_others_added_or_dropped(nights, warehouse, shop, tmp_path):
    changed = Warehouse(warehouse.spark, str(shutil.copytree(warehouse.root, tmp_path / "warehouse")))
    warehouse.spark.sql(f"ALTER TABLE {changed.identifier('events')} ADD COLUMN note STRING")
    changed.overwrite(changed.read("products").drop("brand"), "products")
    named = r"products, column brand is missing.*events, column note is not one of ulvspark's"
    with pytest.raises(ExpectedError, match=named) as caught:
        main(arguments(tmp_path, LINES))
    assert "\n" not in str(caught.value)


def test_a_wrong_source_ends_with_2_and_one_line_and_writes_nothing(spark, tmp_path, capsys):
    content = source({**COLUMNS, "user_id": "nobody"})
    with pytest.raises(SystemExit) as ended:
        run_as_job(lambda _: main(arguments(tmp_path, [row()], events=content["events"])))
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "shop.yaml: events.user_id from lines.parquet: 'nobody' names `nobody`, which is not there" in line
    assert "the table has: line string, customer string" in line
    run = Warehouse(spark, str(tmp_path / "warehouse")).read("ulv_runs").first()
    assert (run.status, run.exit_code, f"ExpectedError: {run.reason}") == ("failed", 2, line)
    assert sorted(path.name for path in (tmp_path / "warehouse").glob("[a-z]*")) == ["ulv_runs"], "and nothing else"


def test_events_without_ids_are_not_loaded_again_by_an_edited_mapping(spark, tmp_path):
    columns = {name: sql for name, sql in COLUMNS.items() if name != "event_id"}
    loaded = Warehouse(spark, str(tmp_path / "warehouse"))

    def load(columns):
        return main(arguments(tmp_path, [row()], events=source(columns)["events"]))

    assert (load(columns), load(columns)) == (0, 0)
    version = loaded.version("events")
    for edited in (columns | {"list_price": "price"}, COLUMNS):
        with pytest.raises(ExpectedError, match=r"shop.yaml: events from lines.parquet: without an event_id .* twice;"):
            load(edited)
    assert (loaded.version("events"), loaded.read("events").count()) == (version, 1)


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
    mapped = read_source(map_source(spark, here, str(tmp_path / "in"), datetime(2024, 6, 1, tzinfo=UTC)), "run")
    assert [loaded["event_id"]] == [each.event_id for each in mapped.events.collect()]
