"""What a run leaves in ``ulv_runs``, from its start to its end."""

import contextlib

import pytest

from ulvspark.contract.arguments import RunRequest
from ulvspark.contract.errors import ExpectedError, RefusedError, RetryableError
from ulvspark.warehouse.runs.opening import open_run
from ulvspark.warehouse.tables import Warehouse

ENDINGS = {
    "refused": (RefusedError("too many\n  in one tier"), "refused", 1, "too many in one tier"),
    "expected": (ExpectedError("no such model"), "failed", 2, "no such model"),
    "bug": (ValueError("jane@example.com is odd"), "failed", 3, "ValueError"),
    "away": (RetryableError("the store sleeps"), "failed", 75, "the store sleeps"),
    "interrupted": (KeyboardInterrupt(), "killed", 130, "interrupted at its terminal"),
}


def rows(warehouse):
    return {row.run_id: row for row in warehouse.read("ulv_runs").collect()}


def test_a_run_has_a_row_from_its_start_and_however_it_ends(warehouse):
    with open_run(warehouse, "job", RunRequest("done")) as run:
        row = rows(warehouse)["done"]
        assert (row.status, row.exit_code, row.finished_at, row.counts) == ("started", None, None, {})
        with run.step("read") as step:
            step.count(rows=3)
            step.measure({"share": 0.5})
        run.warn("the cellar is damp")
    for run_id, (error, _, _, _) in ENDINGS.items():
        with contextlib.suppress(type(error)), open_run(warehouse, "job", RunRequest(run_id)) as run, run.step("read"):
            raise error

    left = rows(warehouse)
    done = left["done"]
    assert (done.status, done.exit_code, done.reason, done.counts) == ("done", 0, None, {"rows": 3})
    assert (done.metrics, done.warnings) == ({"share": 0.5}, ["the cellar is damp"])
    assert {name: (left[name].status, left[name].exit_code, left[name].reason) for name in ENDINGS} == {
        name: ending[1:] for name, ending in ENDINGS.items()
    }
    assert all(row.started_at <= row.finished_at and set(row.seconds) == {"read"} for row in left.values())

    with pytest.raises(
        ExpectedError, match=r"--run-id bug is taken: ulv_runs of .* \(job, failed, started at .* UTC\)"
    ):
        open_run(warehouse, "job", RunRequest("bug")).__enter__()
    assert rows(warehouse)["bug"] == left["bug"], "the row of the run that has the name stays as it is"


def test_a_run_that_cannot_be_reported_ends_with_its_own_error(warehouse, monkeypatch, caplog):
    monkeypatch.setattr(warehouse, "overwrite", lambda *_, **__: 1 / 0)
    with pytest.raises(ExpectedError, match="no such model"), open_run(warehouse, "job", RunRequest("expected")):
        raise ExpectedError("no such model")
    assert "the report of run expected could not be written" in caplog.text
    with pytest.raises(ZeroDivisionError), open_run(warehouse, "job", RunRequest("done")):
        pass


def test_a_source_that_does_not_answer_is_worth_another_try_and_a_bug_is_not(spark, warehouse):
    """Also where it was met by a task, whose error reaches the driver as text."""
    with (
        pytest.raises(RetryableError, match=r"does not answer \(java\.net\.ConnectException\); try again"),
        open_run(warehouse, "job", RunRequest("away")),
    ):
        spark._jvm.java.net.Socket("127.0.0.1", 1)
    fails = "raise_error('java.net.SocketTimeoutException: Read timed out')"
    with pytest.raises(RetryableError), open_run(warehouse, "job", RunRequest("away in a task")):
        spark.range(1).selectExpr(fails).collect()
    with pytest.raises(Exception, match="plain mistake"), open_run(warehouse, "job", RunRequest("bug")):
        spark.range(1).selectExpr("raise_error('plain mistake')").collect()
    codes = {run_id: row.exit_code for run_id, row in rows(warehouse).items()}
    assert codes == {"away": 75, "away in a task": 75, "bug": 3}


def test_a_catalog_has_the_rows_too(place: Warehouse):
    with open_run(place, "job", RunRequest("one")):
        pass
    assert [row.status for row in place.read("ulv_runs").collect()] == ["done"]
