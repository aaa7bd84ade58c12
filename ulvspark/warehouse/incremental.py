"""Tables made of others, row by row of a key, and kept up to date by what changed in those."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import Table
from ulvspark.warehouse.publish import staging
from ulvspark.warehouse.tables import Warehouse

logger = logging.getLogger(__name__)

BUILT_FROM = "ulvspark built from "
"""Begins the note of a commit that says of which versions of its sources the table is made, and in which layout."""

FEW_ROWS_AT_A_TIME = {"delta.enableDeletionVectors": "true", "delta.autoOptimize.autoCompact": "true"}
"""Replacing a few rows does not copy their neighbours, and the small files that it leaves are joined now and then."""

MANY = 0.1
"""Where more than this share of the keys changed, everything is built anew."""


@dataclass(frozen=True)
class Derived:
    """What a table is made of. A row depends on the rows with its key in each source, and on nothing else."""

    table: Table
    sources: tuple[str, ...]
    build: Callable[..., DataFrame]
    """Of one frame a source, all rows or those of some keys."""
    layout: dict[str, str]
    """What rows mean beside their columns: of another layout they are built anew."""

    @property
    def key(self) -> str:
        [name] = self.table.key
        return name


@dataclass(frozen=True)
class UpToDate:
    """A derived table that holds what its sources did at some version."""

    version: int
    sources: dict[str, int]
    built: int
    """How many keys were looked at anew."""


def bring_up_to_date(warehouse: Warehouse, derived: Derived, run_id: str) -> UpToDate:
    """Make ``derived`` hold what its sources hold now, from what their change feeds tell since it last did.

    Everything is built anew where there is no telling: the first time, in another layout, where a source was made
    anew or its change feed does not reach back, where someone else wrote to the table, and where much changed. What
    rows are made of is said by the commit that writes them.

    Raises ExpectedError where another run writes to the table meanwhile.
    """
    name = derived.table.name
    sources = {each: warehouse.version(each) for each in derived.sources}
    ids = {each: warehouse.table_id(each) for each in derived.sources}
    before = warehouse.newest_note(name) if warehouse.exists(name) else None
    since = None if before is None else _held(warehouse, derived, ids, before)
    note = BUILT_FROM + json.dumps({"layout": derived.layout, "ids": ids, "versions": sources})
    with warehouse.noting(note):
        built = None if since is None else _update(warehouse, derived, since, sources, run_id, before)
        if built is None:
            built = _build_all(warehouse, derived, sources)
    return UpToDate(warehouse.version(name), sources, built)


def _held(warehouse: Warehouse, derived: Derived, ids: dict[str, str], note: str) -> dict[str, int] | None:
    """The versions of the sources that the table holds; None where there is no telling what changed since."""
    if not note.startswith(BUILT_FROM):
        return None
    found = json.loads(note.removeprefix(BUILT_FROM))
    if found["layout"] != derived.layout or found["ids"] != ids:
        return None
    versions: dict[str, int] = found["versions"]
    return versions if all(warehouse.remembers(each, version) for each, version in versions.items()) else None


def _build_all(warehouse: Warehouse, derived: Derived, sources: dict[str, int]) -> int:
    name = derived.table.name
    logger.info("%s is built anew", name)
    frames = (warehouse.read(each, version) for each, version in sources.items())
    warehouse.replace(derived.build(*frames), name, FEW_ROWS_AT_A_TIME)
    return warehouse.read(name).count()


def _update(
    warehouse: Warehouse,
    derived: Derived,
    since: dict[str, int],
    sources: dict[str, int],
    run_id: str,
    before: str | None,
) -> int | None:
    """Build the rows of keys that changed; returns how many, None where they are too many."""
    key, name = derived.key, derived.table.name
    behind = [each for each in sources if since[each] < sources[each]]
    feeds = [warehouse.changed(each, key, since[each], sources[each]) for each in behind]
    if not feeds:
        return 0
    changed = reduce(DataFrame.union, feeds).distinct().persist(StorageLevel.DISK_ONLY)
    number = changed.count()
    few = number <= MANY * warehouse.read(name).count()
    if few and number:
        with staging(warehouse, name, run_id) as staged:
            frames = (warehouse.read(each, version) for each, version in sources.items())
            warehouse.overwrite(derived.build(*(each.join(changed, key, "left_semi") for each in frames)), staged)
            # The note would speak for rows of whoever wrote meanwhile, too.
            if warehouse.newest_note(name) != before:
                raise ExpectedError(f"table {name}: another job brought it up to date at the same time; run again")
            warehouse.replace_rows(warehouse.read(staged), derived.table, changed)
    changed.unpersist()
    return number if few else None
