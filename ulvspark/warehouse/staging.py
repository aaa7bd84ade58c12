"""Staging tables: what a run computes is written there first and read back; they are dropped when the run ends."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

from ulvspark.warehouse.lease.holding import live_runs
from ulvspark.warehouse.tables import Warehouse

PREFIX = "staging_"


@dataclass
class StagingArea:
    """The staging tables of one run."""

    warehouse: Warehouse
    run_id: str
    names: list[str] = field(default_factory=list)

    def table(self, name: str) -> str:
        """Reserve a staging table; returns its full name."""
        full_name = f"{PREFIX}{name}_{_mark(self.run_id)}"
        self.names.append(full_name)
        return full_name

    def write(self, name: str, frame: DataFrame) -> DataFrame:
        """Compute ``frame`` once into a staging table; returns its rows as read back from there."""
        table = self.table(name)
        self.warehouse.overwrite(frame, table)
        return self.warehouse.read(table)


@contextmanager
def staging_area(warehouse: Warehouse, run_id: str, warn: Callable[[str], None]) -> Iterator[StagingArea]:
    """Staging tables for the run ``run_id``, dropped when the block ends, however it ends.

    One that cannot be dropped is told by ``warn``: the next run drops it.
    """
    area = StagingArea(warehouse, run_id)
    try:
        yield area
    finally:
        for name in area.names:
            try:
                warehouse.drop(name)
            except Exception as error:
                warn(f"staging table {name} is left to the next run to drop ({type(error).__name__})")


def drop_abandoned(warehouse: Warehouse) -> int:
    """Drop the staging tables of killed runs, which may hold users' data; returns how many.

    A run makes staging tables only while it has a lease.
    """
    staged = [name for name in warehouse.names() if name.startswith(PREFIX)]
    # Leases are looked at after the tables, so that a run that has just begun keeps its own.
    marks = tuple(f"_{_mark(run_id)}" for run_id in live_runs(warehouse)) if staged else ()
    abandoned = [name for name in staged if not name.endswith(marks)]
    for name in abandoned:
        warehouse.drop(name)
    return len(abandoned)


def _mark(run_id: str) -> str:
    """What the names of a run's staging tables end with; a scheduler's run id may hold what a table's name cannot."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:12]
