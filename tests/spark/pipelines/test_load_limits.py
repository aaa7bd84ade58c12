"""A load that is far from what it should be: what is told, what is refused, and that nothing is loaded then."""

import pytest

from jobs.load_source import main
from tests.spark.pipelines.test_load_source import arguments
from tests.spark.source_files import COLUMNS, row, source
from ulvspark.contract.errors import RefusedError
from ulvspark.warehouse.tables import Warehouse


def rows(number, **changes):
    return [row(line=str(n), customer=f"u{n}", **changes) for n in range(number)]


@pytest.fixture
def load(spark, tmp_path, capsys):
    """Loads rows with keys of a YAML; returns what the job printed."""

    def run(lines, columns=COLUMNS, **yaml):
        assert main(arguments(tmp_path, lines, **{"events": source(columns)["events"], **yaml})) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def warehouse(spark, tmp_path):
    return Warehouse(spark, str(tmp_path / "warehouse"))


def last_run(warehouse):
    return warehouse.read("ulv_runs").orderBy("started_at", ascending=False).first()


def test_a_night_of_decimal_commas_is_refused_and_changes_nothing(load, warehouse):
    load(rows(9))
    versions = {name: warehouse.version(name) for name in ("events", "users", "products", "quarantine")}
    columns = {**COLUMNS, "unit_price": "cast(price AS DECIMAL(10, 2))"}
    message = (
        r"shop.yaml: nothing was loaded: events from lines.parquet: 10 of 10 rows would be quarantined "
        r"\(unparsable_unit_price 10\), allowed is a share of 0.5"
    )
    with pytest.raises(RefusedError, match=message):
        load(rows(10, price="3,50"), columns)
    assert {name: warehouse.version(name) for name in versions} == versions
    run = last_run(warehouse)
    assert (run.status, run.exit_code, run.counts["events_quarantined_unparsable_unit_price"]) == ("refused", 1, 10)

    allowed = load(rows(10, price="3,50"), limits={"quarantined_share": {"events": 1}})
    assert "events: unparsable_unit_price: 10" in allowed


def test_fewer_rows_than_usual_are_told_and_refused_where_the_yaml_says_so(load, warehouse):
    load(rows(9))
    told = load(rows(3))
    assert "events from lines.parquet: 3 rows, where the last loads had 9" in told
    assert last_run(warehouse).counts["rows of shop: events from lines.parquet"] == 3
    with pytest.raises(RefusedError, match="there is no row"):
        load(rows(9), events=[no_rows()], limits={"refuse_fewer_rows": True})


def no_rows():
    (events,) = source()["events"]
    return events | {"filter": "line = 'none'"}


def test_what_is_loaded_with_doubts_is_told(load, warehouse):
    lines = [*rows(3, price="0.00002"), row(line="3", customer="U1"), row(line="4", customer="u1\t")]
    columns = {name: sql for name, sql in COLUMNS.items() if name != "event_id"}
    said = load(lines, columns, limits={"lost_precision_share": 0.8})
    assert "unit_price loses digits in 3 of 5 rows" in said
    assert "5 of 5 events have no event_id" in said
    assert "2 different user_ids are 1 if upper and lower case and forms of Unicode are the same" in said
    run = last_run(warehouse)
    assert len(run.warnings) == 3
    counts = ("events_lost_precision_unit_price", "events_made_event_id", "alike_user_ids")
    assert [run.counts[name] for name in counts] == [3, 5, 2]
    with pytest.raises(RefusedError, match=r"unit_price loses digits in 3 of 5 rows.*allowed is a share of 0\.01"):
        load(lines, columns)
