"""What holds for every run that writes to a warehouse: its name, its row, and its errors from outside."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

from ulvspark.contract.arguments import RunRequest
from ulvspark.warehouse.outages import outages_as_retryable
from ulvspark.warehouse.runs.report import RunLog
from ulvspark.warehouse.runs.rows import check_new
from ulvspark.warehouse.tables import Warehouse


@contextmanager
def open_run(warehouse: Warehouse, job: str, request: RunRequest, as_of: date | None = None) -> Iterator[RunLog]:
    """A run of ``job``: its row is in ``ulv_runs`` from the beginning of the block, and says at the end how it went.

    Raises ExpectedError where the name asked for is taken, and RetryableError in place of an error that says that the
    warehouse does not answer.
    """
    run = RunLog(warehouse, job, request.run_id or new_run_id(job), as_of)
    check_new(warehouse, run.run_id)
    with run.reported(), outages_as_retryable(warehouse.root):
        run.start()
        yield run


def new_run_id(job: str) -> str:
    """A name for one run of ``job``: the job, the start in UTC and a random suffix."""
    return f"{job}_{datetime.now(UTC):%Y%m%d_%H%M%S}_{uuid.uuid4().hex[:8]}"
