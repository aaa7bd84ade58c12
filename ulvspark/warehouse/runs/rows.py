"""The rows of ``ulv_runs``: written when a run starts, replaced when it ends; those of killed runs by the next run."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import RUNS
from ulvspark.warehouse.lease.holding import live_runs, log_held
from ulvspark.warehouse.runs.table_check import check_tables
from ulvspark.warehouse.tables import Warehouse

KILLED = "it ended without a report: it was killed, or its machine was lost"


def check_runs_table(warehouse: Warehouse, run_id: str | None) -> None:
    """Raises ExpectedError where ``ulv_runs`` takes no rows of this release, or has a run of the name asked for."""
    if not warehouse.exists(RUNS.name):
        return
    check_tables(warehouse, added_to=(RUNS,))
    if run_id is not None:
        for row in warehouse.read(RUNS.name).where(F.col("run_id") == run_id).take(1):
            raise _taken(warehouse, row.asDict())


def add_row(warehouse: Warehouse, row: Mapping[str, Any]) -> None:
    """Add the row of a run that starts, and mark the runs that were killed. Raises ExpectedError for a taken name."""
    with log_held(warehouse, row["run_id"]):
        if not warehouse.exists(RUNS.name):
            warehouse.append_rows(RUNS, [row])
            return
        concerns = (F.col("run_id") == row["run_id"]) | (F.col("status") == "started")
        there = [each.asDict(recursive=True) for each in warehouse.read(RUNS.name).where(concerns).collect()]
        for each in there:
            if each["run_id"] == row["run_id"]:
                raise _taken(warehouse, each)
        # Leases are looked at after the rows: a run takes its lease before its row is written.
        alive = live_runs(warehouse) if there else set()
        ended = {"status": "killed", "reason": KILLED, "finished_at": datetime.now(UTC)}
        killed = [each | ended for each in there if each["run_id"] not in alive]
        if killed:
            _replace(warehouse, [*killed, row])
        else:
            warehouse.append_rows(RUNS, [row])


def replace_row(warehouse: Warehouse, row: Mapping[str, Any]) -> None:
    """Write the row of a run that has ended, in place of the one that stood there."""
    with log_held(warehouse, row["run_id"]):
        warehouse.ensure(RUNS)
        _replace(warehouse, [row])


def _replace(warehouse: Warehouse, rows: Sequence[Mapping[str, Any]]) -> None:
    # Names of runs hold no quotes.
    listed = ", ".join(f"'{row['run_id']}'" for row in rows)
    warehouse.overwrite(warehouse.rows(RUNS, rows), RUNS.name, where=f"run_id IN ({listed})")


def _taken(warehouse: Warehouse, row: Mapping[str, Any]) -> ExpectedError:
    started = f"{row['started_at'].astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return ExpectedError(
        f"--run-id {row['run_id']} is taken: {RUNS.name} of {warehouse.root} has a run of that name ({row['job']}, "
        f"{row['status']}, started at {started}); give another, such as with the number of the try at its end"
    )
