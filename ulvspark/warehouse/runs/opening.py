"""What holds for every run that writes to a warehouse: its leases, its row, and errors from outside."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from ulvspark.contract.arguments import RunRequest
from ulvspark.contract.schema import Table
from ulvspark.warehouse.lease.holding import leases_held, log_held
from ulvspark.warehouse.outages import outages_as_retryable
from ulvspark.warehouse.runs.report import RunLog
from ulvspark.warehouse.runs.rows import check_runs_table
from ulvspark.warehouse.staging import drop_abandoned
from ulvspark.warehouse.tables import Warehouse


@contextmanager
def open_run(
    warehouse: Warehouse, job: str, request: RunRequest, writes: Collection[str], as_of: date | None = None
) -> Iterator[RunLog]:
    """A run of ``job`` that has the leases ``writes`` (see ``ulvspark.warehouse.lease``) while the block runs.

    Its row is in ``ulv_runs`` from the beginning of the block, and says at the end how it went. Rows and staging tables
    of runs that were killed are put in order first. Raises ExpectedError where the name asked for is taken, and
    RetryableError where a lease is held by another run or was lost, or the warehouse does not answer.
    """
    run = RunLog(warehouse, job, request.run_id or new_run_id(job), as_of)
    away = partial(outages_as_retryable, warehouse.root)
    with away():
        check_runs_table(warehouse, request.run_id)
        with run.reported(), away(), leases_held(warehouse, writes, run.run_id, request.wait_seconds) as leases:
            run.lease_numbers = {name: lease.number for name, lease in leases.items()}
            run.start()
            run.counts["abandoned_tables_dropped"] = drop_abandoned(warehouse)
            yield run


def append_logged(warehouse: Warehouse, run_id: str, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Add rows to a table that all jobs append to; returns its new version."""
    with log_held(warehouse, run_id):
        return warehouse.append_rows(table, rows)


def new_run_id(job: str) -> str:
    """A name for one run of ``job``: the job, the start in UTC and a random suffix."""
    return f"{job}_{datetime.now(UTC):%Y%m%d_%H%M%S}_{uuid.uuid4().hex[:8]}"
