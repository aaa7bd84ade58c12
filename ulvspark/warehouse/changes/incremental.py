"""Tables computed from other tables key by key, brought up to date by recomputing only the keys that changed."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from ulvspark.contract.errors import RetryableError
from ulvspark.contract.schema import Table
from ulvspark.warehouse.changes.change_feed import (
    change_feed_reaches,
    changed_keys,
    commit_note,
    newest_commit_note,
    table_id,
)
from ulvspark.warehouse.compaction import compact
from ulvspark.warehouse.keyed_writes import replace_rows
from ulvspark.warehouse.pinned import PinnedTables
from ulvspark.warehouse.staging import staging_area
from ulvspark.warehouse.tables import SMALL_UPDATES, Warehouse

logger = logging.getLogger(__name__)

BUILT_FROM = "ulvspark built from "
"""Begins the note of a commit that says which versions of its sources the table was built from, and its layout."""

REBUILD_ABOVE = 0.1
"""When more than this share of the keys changed, the whole table is built again."""


@dataclass(frozen=True)
class DerivedTable:
    """A table and how to compute it. A row depends only on the rows of its key in each source."""

    table: Table
    sources: tuple[Table, ...]
    build: Callable[..., DataFrame]
    """Takes one frame a source, holding all rows or those of some keys; gives the rows of ``table``."""
    layout: dict[str, str]
    """Whatever else decides what rows mean. The table is built again when it changes."""

    @property
    def key(self) -> str:
        """The name of the key column."""
        [name] = self.table.key
        return name


@dataclass(frozen=True)
class UpToDate:
    """The version of a derived table that is up to date, and how many keys were computed to get there."""

    version: int
    keys_built: int


def bring_up_to_date(derived: DerivedTable, pinned: PinnedTables, run_id: str) -> UpToDate:
    """Make the derived table hold what its sources hold at their ``pinned`` versions.

    Only the keys that the sources' change feeds name are computed. Everything is built again the first time, for
    another layout, when a source was dropped and made again, when a change feed does not reach back to the last update
    or files of it are gone, when somebody else wrote to the table, and when many keys changed. The commit that writes
    the rows carries a note of what they were built from.

    Raises RetryableError when another run writes to the table at the same time.
    """
    warehouse, name = pinned.warehouse, derived.table.name
    versions = {source.name: pinned.versions[source.name] for source in derived.sources}
    ids = {source.name: table_id(warehouse, source.name) for source in derived.sources}
    last_note = newest_commit_note(warehouse, name) if warehouse.exists(name) else None
    built_from = None if last_note is None else _reusable_versions(warehouse, derived, ids, last_note)
    with commit_note(warehouse, BUILT_FROM + json.dumps({"layout": derived.layout, "ids": ids, "versions": versions})):
        built = None if built_from is None else _update(derived, pinned, built_from, last_note, run_id)
        if built is None:
            built = _build_all(derived, pinned)
    return UpToDate(warehouse.version(name), built)


def _reusable_versions(
    warehouse: Warehouse, derived: DerivedTable, ids: dict[str, str], note: str
) -> dict[str, int] | None:
    """The source versions that the table was built from; None if the changes since then cannot be known."""
    if not note.startswith(BUILT_FROM):
        return None
    built_from = json.loads(note.removeprefix(BUILT_FROM))
    if built_from["layout"] != derived.layout or built_from["ids"] != ids:
        return None
    versions: dict[str, int] = built_from["versions"]
    reaches = (change_feed_reaches(warehouse, name, version) for name, version in versions.items())
    return versions if all(reaches) else None


def _build_all(derived: DerivedTable, pinned: PinnedTables) -> int:
    name = derived.table.name
    logger.info("%s is built from all rows of its sources", name)
    rows = derived.build(*(pinned.read(source) for source in derived.sources))
    pinned.warehouse.replace(rows, name, SMALL_UPDATES)
    return pinned.warehouse.read(name).count()


def _update(
    derived: DerivedTable, pinned: PinnedTables, built_from: dict[str, int], last_note: str | None, run_id: str
) -> int | None:
    """Compute the rows of the keys that changed; returns how many keys, None if they are too many."""
    warehouse, key, name = pinned.warehouse, derived.key, derived.table.name
    ranges = {source.name: (built_from[source.name], pinned.versions[source.name]) for source in derived.sources}
    feeds = [changed_keys(warehouse, source, key, *span) for source, span in ranges.items() if span[0] < span[1]]
    if not feeds:
        return 0
    changed = reduce(DataFrame.union, feeds).distinct().persist(StorageLevel.DISK_ONLY)
    number = changed.count()
    are_few = number <= REBUILD_ABOVE * warehouse.read(name).count()
    if are_few and number:
        with staging_area(warehouse, run_id, logger.warning) as staging:
            sources = (pinned.read(source).join(changed, key, "left_semi") for source in derived.sources)
            rows = staging.write(name, derived.build(*sources))
            # Our note must not speak for rows that somebody else wrote in the meantime.
            if newest_commit_note(warehouse, name) != last_note:
                raise RetryableError(f"table {name}: another job brought it up to date at the same time; run again")
            replace_rows(warehouse, rows, derived.table, changed)
            compact(warehouse, name)
    changed.unpersist()
    return number if are_few else None
