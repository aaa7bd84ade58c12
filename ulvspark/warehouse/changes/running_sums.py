"""Tables of sums over another table's rows, kept up to date by adding what its change feed says."""

import json
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.schema import Table
from ulvspark.warehouse.changes.change_feed import (
    change_feed_reaches,
    commit_note,
    newest_commit_note,
    read_changes,
    table_id,
)
from ulvspark.warehouse.compaction import compact
from ulvspark.warehouse.keyed_writes import add_sums
from ulvspark.warehouse.tables import SMALL_UPDATES, Warehouse

logger = logging.getLogger(__name__)

SUMMED_UP_TO = "ulvspark sums of "
"""Begins the note of a commit that says up to which version of the source the sums go."""

TAKEN_OUT = ("delete", "update_preimage")
"""Kinds of changes whose rows are no longer in the table."""


@dataclass(frozen=True)
class RunningSums:
    """A table of sums, by its key, over the rows of ``source``."""

    table: Table
    source: Table
    measure: Callable[[DataFrame, Column], DataFrame]
    """Takes rows of ``source`` and how many times each counts (1 or -1); gives their sums as rows of ``table``."""
    layout: str
    """Whatever else decides what the sums mean: all are computed again when it changes."""


def bring_sums_up_to_date(sums: RunningSums, warehouse: Warehouse) -> None:
    """Make ``sums`` those of the newest version of its source. The commit says which version that is.

    Only changed rows are read. All rows are, the first time, when the change feed does not reach back, when the source
    was dropped and made again, and when somebody else wrote to the sums.
    """
    name, source = sums.table.name, sums.source.name
    until = warehouse.version(source)
    since = _summed_version(sums, warehouse)
    if since == until:
        return
    if since is None:
        logger.info("%s is computed from all rows of %s", name, source)
        replace_sums(sums, warehouse, sums.measure(warehouse.read(source, until), F.lit(1)), until)
        return
    changes = read_changes(warehouse, source, since, until)
    weight = F.when(F.col("_change_type").isin(*TAKEN_OUT), -1).otherwise(1)
    with _noted(sums, warehouse, until):
        add_sums(warehouse, sums.measure(changes, weight), sums.table)
        compact(warehouse, name)


def replace_sums(sums: RunningSums, warehouse: Warehouse, rows: DataFrame, version: int) -> None:
    """Make ``rows``, which are the sums over all rows of the source's ``version``, the whole table."""
    with _noted(sums, warehouse, version):
        warehouse.replace(rows, sums.table.name, SMALL_UPDATES)


def _noted(sums: RunningSums, warehouse: Warehouse, version: int) -> AbstractContextManager[None]:
    """Note on the commits of the block that the sums go up to ``version`` of the source."""
    return commit_note(warehouse, SUMMED_UP_TO + json.dumps({**_about(sums, warehouse), "version": version}))


def _about(sums: RunningSums, warehouse: Warehouse) -> dict[str, str]:
    return {"layout": sums.layout, "id": table_id(warehouse, sums.source.name)}


def _summed_version(sums: RunningSums, warehouse: Warehouse) -> int | None:
    """Up to which version of the source the sums go; None if they have to be computed from all rows."""
    name = sums.table.name
    note = newest_commit_note(warehouse, name) if warehouse.exists(name) else None
    if note is None or not note.startswith(SUMMED_UP_TO):
        return None
    made = json.loads(note.removeprefix(SUMMED_UP_TO))
    version = int(made.pop("version"))
    is_same = made == _about(sums, warehouse)
    return version if is_same and change_feed_reaches(warehouse, sums.source.name, version) else None
