"""The rows of ``ulv_runs``: written when a run starts, and replaced when it ends."""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import RUNS
from ulvspark.warehouse.tables import Warehouse


def check_new(warehouse: Warehouse, run_id: str) -> None:
    """Raises ExpectedError where ``ulv_runs`` has a run of this name."""
    if not warehouse.exists(RUNS.name):
        return
    there = warehouse.read(RUNS.name).where(F.col("run_id") == run_id).select("job", "status", "started_at").first()
    if there is not None:
        raise ExpectedError(
            f"--run-id {run_id} is taken: {RUNS.name} of {warehouse.root} has a run of that name ({there.job}, "
            f"{there.status}, started at {there.started_at:%Y-%m-%d %H:%M:%S} UTC); give another, such as with the "
            "number of the try at its end"
        )


def add_row(warehouse: Warehouse, row: Mapping[str, Any]) -> None:
    """Add the row of a run that starts. Raises ExpectedError where its name is taken."""
    check_new(warehouse, row["run_id"])
    warehouse.append_rows(RUNS, [row])


def replace_row(warehouse: Warehouse, row: Mapping[str, Any]) -> None:
    """Write the row of a run that has ended, in place of the one that stood there."""
    warehouse.ensure(RUNS)
    warehouse.overwrite(warehouse.rows(RUNS, [row]), RUNS.name, where=f"run_id = '{row['run_id']}'")
