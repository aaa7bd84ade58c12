"""The report of a run: what a job read, wrote and counted, as one row of ``ulv_runs``."""

import logging
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Self

from ulvspark.contract import schema
from ulvspark.contract.errors import ExpectedError, RefusedError
from ulvspark.warehouse.tables import Warehouse

logger = logging.getLogger(__name__)

DONE, REFUSED, FAILED = "done", "refused", "failed"


def new_run_id(job: str) -> str:
    """A name for one run of ``job``: the job, the start in UTC and a random suffix; fit to be part of a table name."""
    return f"{job}_{datetime.now(UTC):%Y%m%d_%H%M%S}_{uuid.uuid4().hex[:8]}"


def run_start(name: str) -> datetime | None:
    """The start of the run whose id (see ``new_run_id``) stands at the end of ``name``; None if there is no such id."""
    start = re.search(r"_(\d{8}_\d{6})_[0-9a-f]{8}$", name)
    return None if start is None else datetime.strptime(start[1], "%Y%m%d_%H%M%S").replace(tzinfo=UTC)


@dataclass
class Step:
    """One step of a run, under way: what it counts and measures so far."""

    counts: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    def count(self, **counts: int) -> None:
        """Report numbers of things by name, such as ``users=10``."""
        self.counts.update(counts)

    def measure(self, metrics: Mapping[str, float]) -> None:
        """Report figures by name, such as rates and shares."""
        self.metrics.update(metrics)


class RunLog:
    """Collects the report of a run and appends it to ``ulv_runs`` when the ``with`` block ends, however it ends.

    An unexpected error is reported by its type alone, since its message may quote users' data.
    """

    def __init__(
        self, warehouse: Warehouse, job: str, run_id: str, as_of: date | None = None, model_version: str | None = None
    ) -> None:
        self.warehouse = warehouse
        self.job = job
        self.run_id = run_id
        self.as_of = as_of
        self.model_version = model_version
        self.started_at = datetime.now(UTC)
        self.counts: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.versions_read: dict[str, int] = {}
        self.versions_written: dict[str, int] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step. What it counts and measures joins the run's report and is logged in one line."""
        logger.info("%s ...", name)
        step, started = Step(), time.perf_counter()
        try:
            yield step
        finally:
            self.seconds[name] = round(time.perf_counter() - started, 3)
            self.counts.update(step.counts)
            self.metrics.update(step.metrics)
        numbers = [f"{number:,} {what.replace('_', ' ')}" for what, number in step.counts.items()]
        figures = [f"{what.replace('_', ' ')} {_short(value)}" for what, value in step.metrics.items()]
        logger.info("%s: %s", name, ", ".join([*numbers, *figures, f"{self.seconds[name]:.1f} s"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        verdict, reason = _verdict(error)
        try:
            self._append(verdict, reason)
        except Exception:
            if error is None:
                raise
            # The error that ended the run matters more than this one.
            logger.exception("the report of run %s could not be written", self.run_id)
        logger.info("run %s: %s", self.run_id, verdict)

    def _append(self, verdict: str, reason: str | None) -> None:
        row = {
            "run_id": self.run_id,
            "job": self.job,
            "as_of_date": self.as_of,
            "model_version": self.model_version,
            "verdict": verdict,
            "reason": reason,
            "started_at": self.started_at,
            "finished_at": datetime.now(UTC),
            "versions_read": self.versions_read,
            "versions_written": self.versions_written,
            "counts": self.counts,
            "seconds": self.seconds,
            "metrics": self.metrics,
        }
        self.warehouse.append_rows(schema.RUNS, [row])


def _verdict(error: BaseException | None) -> tuple[str, str | None]:
    if error is None:
        return DONE, None
    if isinstance(error, RefusedError):
        return REFUSED, _one_line(error)
    if isinstance(error, ExpectedError):
        return FAILED, _one_line(error)
    return FAILED, type(error).__name__


def _short(value: float) -> str:
    return f"{value:,.1f}" if value >= 10 else f"{value:.2g}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
