"""What a run leaves in ``ulv_runs``."""

import contextlib

import pytest

from ulvspark.contract.errors import ExpectedError, RefusedError
from ulvspark.warehouse.runs import RunLog

ENDINGS = {
    "refused": (RefusedError("too many\n  in one tier"), "refused", "too many in one tier"),
    "expected": (ExpectedError("no such model"), "failed", "no such model"),
    "bug": (ValueError("jane@example.com is odd"), "failed", "ValueError"),
}


def test_a_run_is_reported_however_it_ends(warehouse):
    with RunLog(warehouse, "job", "done") as run, run.step("read") as step:
        step.count(rows=3)
        step.measure({"share": 0.5})
    for run_id, (error, _, _) in ENDINGS.items():
        with contextlib.suppress(type(error)), RunLog(warehouse, "job", run_id) as run, run.step("read"):
            raise error

    rows = {row.run_id: row for row in warehouse.read("ulv_runs").collect()}
    assert (rows["done"].verdict, rows["done"].reason, rows["done"].counts) == ("done", None, {"rows": 3})
    assert {name: (rows[name].verdict, rows[name].reason) for name in ENDINGS} == {
        name: ending[1:] for name, ending in ENDINGS.items()
    }
    assert rows["done"].metrics == {"share": 0.5}
    assert all(row.started_at <= row.finished_at and set(row.seconds) == {"read"} for row in rows.values())


def test_a_run_that_cannot_be_reported_ends_with_its_own_error(warehouse, monkeypatch, caplog):
    monkeypatch.setattr(warehouse, "append", lambda *_: 1 / 0)
    with pytest.raises(ExpectedError, match="no such model"), RunLog(warehouse, "job", "expected"):
        raise ExpectedError("no such model")
    assert "the report of run expected could not be written" in caplog.text
    with pytest.raises(ZeroDivisionError), RunLog(warehouse, "job", "done"):
        pass
