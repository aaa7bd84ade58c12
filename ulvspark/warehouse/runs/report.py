"""The report of a run: what a job read, wrote and counted, how it ended and why, as its row of ``ulv_runs``."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from ulvspark.contract.errors import BUG, DONE, EXPECTED_ENDS, REFUSED, ExpectedError
from ulvspark.warehouse.runs.rows import add_row, replace_row
from ulvspark.warehouse.tables import Warehouse

logger = logging.getLogger(__name__)

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended."""


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


@dataclass(frozen=True)
class Ending:
    """How a run ended: its status, its exit code, and the reason in one line."""

    status: str
    exit_code: int
    reason: str | None


class RunLog:
    """Collects the report of a run. Its row is written by ``start``, and replaced when ``reported`` ends."""

    def __init__(self, warehouse: Warehouse, job: str, run_id: str, as_of: date | None = None) -> None:
        self.warehouse = warehouse
        self.job = job
        self.run_id = run_id
        self.as_of = as_of
        self.model_version: str | None = None
        self.started_at = datetime.now(UTC)
        self.counts: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.versions_read: dict[str, int] = {}
        self.versions_written: dict[str, int] = {}
        self.warnings: list[str] = []
        self.lease_numbers: dict[str, int] = {}
        self._has_row_of_its_own = True

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

    def warn(self, sentence: str) -> None:
        """Report what did not go as it should, but does not change how the run ends."""
        logger.warning("%s", sentence)
        self.warnings.append(sentence)

    @contextmanager
    def only_warns(self, consequence: str) -> Iterator[None]:
        """Report an error of the block as a warning: for what comes after the result of a run was published."""
        try:
            yield
        except Exception as error:
            logger.debug("%s", consequence, exc_info=True)
            said = " ".join(str(error).split()) if isinstance(error, EXPECTED_ENDS) else type(error).__name__
            self.warn(f"{consequence} ({said})")

    def start(self) -> None:
        """Write the run's row. Raises ExpectedError where its name is taken."""
        try:
            add_row(self.warehouse, self._row("started", None, None))
        except ExpectedError:
            # The row of that name is another run's.
            self._has_row_of_its_own = False
            raise

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Write the run's last row when the block ends, however it ends."""
        try:
            yield
        except BaseException as error:
            try:
                self._finish(_ending(error))
            except Exception:
                # The error that ended the run matters more than this one.
                logger.exception("the report of run %s could not be written", self.run_id)
            raise
        self._finish(Ending("done", DONE, None))

    def _finish(self, ending: Ending) -> None:
        if not self._has_row_of_its_own:
            return
        row = self._row(ending.status, ending.exit_code, ending.reason)
        replace_row(self.warehouse, row | {"finished_at": datetime.now(UTC)})
        logger.info("run %s: %s", self.run_id, ending.status)

    def _row(self, status: str, exit_code: int | None, reason: str | None) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "job": self.job,
            "as_of_date": self.as_of,
            "model_version": self.model_version,
            "status": status,
            "exit_code": exit_code,
            "reason": reason,
            "warnings": self.warnings,
            "started_at": self.started_at,
            "finished_at": None,
            "versions_read": self.versions_read,
            "versions_written": self.versions_written,
            "counts": self.counts,
            "seconds": self.seconds,
            "metrics": self.metrics,
        }


def _ending(error: BaseException) -> Ending:
    """An unexpected error is reported by its type alone, since its message may quote users' data."""
    if isinstance(error, EXPECTED_ENDS):
        status = "refused" if error.exit_code == REFUSED else "failed"
        return Ending(status, error.exit_code, " ".join(str(error).split()))
    if isinstance(error, KeyboardInterrupt):
        return Ending("killed", INTERRUPTED, "interrupted at its terminal")
    return Ending("failed", BUG, type(error).__name__)


def _short(value: float) -> str:
    return f"{value:,.1f}" if value >= 10 else f"{value:.2g}"
