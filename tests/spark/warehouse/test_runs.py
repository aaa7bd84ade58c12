"""What a run leaves in ``ulv_runs``, from its start to its end."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC

import pytest

from ulvspark.contract.arguments import RunRequest
from ulvspark.contract.errors import ExpectedError, RefusedError, RetryableError
from ulvspark.warehouse.lease import INPUTS, SCORES, holding
from ulvspark.warehouse.lease import lease as leases
from ulvspark.warehouse.lease.places import place_of
from ulvspark.warehouse.runs.opening import open_run
from ulvspark.warehouse.staging import staging_area
from ulvspark.warehouse.tables import Warehouse

ENDINGS = {
    "refused": (RefusedError("too many\n  in one tier"), "refused", 1, "too many in one tier"),
    "expected": (ExpectedError("no such model"), "failed", 2, "no such model"),
    "bug": (ValueError("jane@example.com is odd"), "failed", 3, "ValueError"),
    "away": (RetryableError("the store sleeps"), "failed", 75, "the store sleeps"),
    "interrupted": (KeyboardInterrupt(), "killed", 130, "interrupted at its terminal"),
}


def a_run(warehouse, run_id):
    return open_run(warehouse, "job", RunRequest(run_id), [SCORES])


def rows(warehouse):
    return {row.run_id: row for row in warehouse.read("ulv_runs").collect()}


def test_a_run_has_a_row_from_its_start_and_however_it_ends(warehouse):
    with a_run(warehouse, "done") as run:
        row = rows(warehouse)["done"]
        assert (row.status, row.exit_code, row.finished_at, row.counts) == ("started", None, None, {})
        with run.step("read") as step:
            step.count(rows=3)
            step.measure({"share": 0.5})
        run.warn("the cellar is damp")
    for run_id, (error, _, _, _) in ENDINGS.items():
        with (
            suppress(type(error)),
            a_run(warehouse, run_id) as run,
            run.step("read"),
        ):
            raise error

    left = rows(warehouse)
    done = left["done"]
    assert (done.status, done.exit_code, done.reason, done.counts) == (
        "done",
        0,
        None,
        {"abandoned_tables_dropped": 0, "rows": 3},
    )
    assert (done.metrics, done.warnings) == ({"share": 0.5}, ["the cellar is damp"])
    assert {name: (left[name].status, left[name].exit_code, left[name].reason) for name in ENDINGS} == {
        name: ending[1:] for name, ending in ENDINGS.items()
    }
    assert all(row.started_at <= row.finished_at and set(row.seconds) == {"read"} for row in left.values())

    with pytest.raises(
        ExpectedError, match=r"--run-id bug is taken: ulv_runs of .* \(job, failed, started at .* UTC\)"
    ):
        a_run(warehouse, "bug").__enter__()
    assert rows(warehouse)["bug"] == left["bug"], "the row of the run that has the name stays as it is"


def test_a_run_that_cannot_be_reported_ends_with_its_own_error(warehouse, monkeypatch, caplog):
    monkeypatch.setattr(warehouse, "overwrite", lambda *_, **__: 1 / 0)
    with (
        pytest.raises(ExpectedError, match="no such model"),
        a_run(warehouse, "expected"),
    ):
        raise ExpectedError("no such model")
    assert "the report of run expected could not be written" in caplog.text
    with pytest.raises(ZeroDivisionError), a_run(warehouse, "done"):
        pass


def test_a_source_that_does_not_answer_is_worth_another_try_and_a_bug_is_not(spark, warehouse):
    """Also where it was met by a task, whose error reaches the driver as text."""
    with (
        pytest.raises(RetryableError, match=r"does not answer \(java\.net\.ConnectException\); try again"),
        a_run(warehouse, "away"),
    ):
        spark._jvm.java.net.Socket("127.0.0.1", 1)
    fails = "raise_error('java.net.SocketTimeoutException: Read timed out')"
    with pytest.raises(RetryableError), a_run(warehouse, "away in a task"):
        spark.range(1).selectExpr(fails).collect()
    with pytest.raises(Exception, match="plain mistake"), a_run(warehouse, "bug"):
        spark.range(1).selectExpr("raise_error('plain mistake')").collect()
    codes = {run_id: row.exit_code for run_id, row in rows(warehouse).items()}
    assert codes == {"away": 75, "away in a task": 75, "bug": 3}


def test_a_catalog_has_the_rows_too(place: Warehouse):
    with a_run(place, "one"):
        pass
    assert [row.status for row in place.read("ulv_runs").collect()] == ["done"]


def test_one_run_at_a_time_writes_and_what_a_killed_one_left_is_put_in_order(spark, warehouse, monkeypatch):
    """A load may run beside a night; a second night may not, until the first has ended or its lease has expired."""
    monkeypatch.setattr(holding, "HEARTBEAT_SECONDS", 10_000)
    monkeypatch.setattr(leases, "LEASE_SECONDS", 10_000)
    cut_off = Warehouse(spark, warehouse.root)
    killed = a_run(cut_off, "killed")
    run = killed.__enter__()
    staging = staging_area(cut_off, "killed", run.warn).__enter__()
    staging.write("scores", spark.range(3))

    with open_run(warehouse, "load", RunRequest("beside"), [INPUTS]):
        pass
    said = r"the lease `scores` of warehouse .* is held by run killed on"
    with pytest.raises(RetryableError, match=said), a_run(warehouse, "too early"):
        pass
    assert {name: (row.status, row.exit_code) for name, row in rows(warehouse).items()} == {
        "killed": ("started", None), "beside": ("done", 0), "too early": ("failed", 75),
    }  # fmt: skip
    assert [name for name in warehouse.names() if name.startswith("staging_")] == staging.names, "it may be alive"

    expire(warehouse, "killed")
    with a_run(warehouse, "next") as following:
        left = rows(warehouse)["killed"]
        assert (left.status, left.exit_code) == ("killed", None)
        assert left.started_at.astimezone(UTC) == run.started_at
        assert "ended without a report" in left.reason
        assert following.counts == {"abandoned_tables_dropped": 1}
        assert not [name for name in warehouse.names() if name.startswith("staging_")]

        # It was not dead after all, only cut off: it writes nothing more.
        with pytest.raises(RetryableError, match="has lost the lease `scores`"):
            cut_off.append(spark.range(1), "things")
        with suppress(RetryableError):
            killed.gen.throw(RetryableError("so it ends"))
    assert not warehouse.exists("things")
    statuses = {name: row.status for name, row in rows(warehouse).items()}
    assert statuses == {"killed": "failed", "beside": "done", "too early": "failed", "next": "done"}


def expire(warehouse, owner):
    """Let the time of a lease run out."""
    place = place_of(warehouse)
    record, tag = place.read(SCORES)
    assert record.owner == owner
    assert place.swap(SCORES, replace(record, expires_at=0), tag)


def lose_and_go_on(warehouse):
    """A query of ten minutes, under a lease that somebody else has taken after its expiry."""
    place = place_of(warehouse)
    record, tag = place.read(SCORES)
    assert place.swap(SCORES, replace(record, owner="another", number=record.number + 1), tag)
    warehouse.spark.range(1).selectExpr("java_method('java.lang.Thread', 'sleep', id + 600000)").collect()


def test_a_lease_that_cannot_be_renewed_cancels_the_query_under_way(spark, warehouse, monkeypatch):
    """It could commit when somebody else has the lease."""
    monkeypatch.setattr(holding, "HEARTBEAT_SECONDS", 0.5)
    lost = r"this run has lost the lease `scores` of warehouse .*; run it again"
    with pytest.raises(RetryableError, match=lost), a_run(warehouse, "slow"):
        lose_and_go_on(warehouse)
    assert (rows(warehouse)["slow"].status, rows(warehouse)["slow"].exit_code) == ("failed", 75)
