"""Staging tables: what a run computes is written there first and read back; they are dropped when the run ends."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame

from ulvspark.warehouse.tables import Warehouse

PREFIX = "staging_"

ABANDONED_AFTER = timedelta(days=3)
"""A staging table whose run began this long ago belongs to a run that was killed."""


@dataclass
class StagingArea:
    """The staging tables of one run."""

    warehouse: Warehouse
    run_id: str
    names: list[str] = field(default_factory=list)

    def table(self, name: str) -> str:
        """Reserve a staging table; returns its full name."""
        full_name = f"{PREFIX}{name}_{self.run_id}"
        self.names.append(full_name)
        return full_name

    def write(self, name: str, frame: DataFrame) -> DataFrame:
        """Compute ``frame`` once into a staging table; returns its rows as read back from there."""
        table = self.table(name)
        self.warehouse.overwrite(frame, table)
        return self.warehouse.read(table)


@contextmanager
def staging_area(warehouse: Warehouse, run_id: str) -> Iterator[StagingArea]:
    """Staging tables for the run ``run_id``, dropped when the block ends, however it ends."""
    area = StagingArea(warehouse, run_id)
    try:
        yield area
    finally:
        for name in area.names:
            warehouse.drop(name)


def drop_abandoned(warehouse: Warehouse, now: datetime) -> int:
    """Drop the staging tables of killed runs, which may hold users' data; returns how many."""
    staged = (name for name in warehouse.names() if name.startswith(PREFIX))
    abandoned = [name for name in staged if (start := _run_start(name)) is not None and start < now - ABANDONED_AFTER]
    for name in abandoned:
        warehouse.drop(name)
    return len(abandoned)


def _run_start(name: str) -> datetime | None:
    start = re.search(r"_(\d{8}_\d{6})_[0-9a-f]{8}$", name)
    return None if start is None else datetime.strptime(start[1], "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
