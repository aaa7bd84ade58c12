"""From staging to the published score tables, which change as a whole or not at all."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta

from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.warehouse.runs import begun
from ulvspark.warehouse.tables import Warehouse

logger = logging.getLogger(__name__)


STAGING = "staging_"
LEFT_BEHIND = timedelta(days=3)
"""A run that began so long ago and still has a table of its own was killed."""


@contextmanager
def staging(warehouse: Warehouse, name: str, run_id: str) -> Iterator[str]:
    """The name of a table of this run alone, dropped when the block ends."""
    table = f"{STAGING}{name}_{run_id}"
    try:
        yield table
    finally:
        warehouse.drop(table)


def drop_left_behind(warehouse: Warehouse, now: datetime) -> int:
    """Drop the staging tables of runs that were killed, which may hold what users did; returns how many."""
    staged = (name for name in warehouse.names() if name.startswith(STAGING))
    old = [name for name in staged if (start := begun(name)) is not None and start < now - LEFT_BEHIND]
    for name in old:
        warehouse.drop(name)
    return len(old)


def publish(warehouse: Warehouse, staged: str, as_of: date) -> dict[str, int]:
    """Publish verified scores of ``as_of``; returns the new version of each table that was written.

    History first, then ``ulv_scores`` derived from it in one commit, unless that holds a later date. Either step
    replaces what an earlier run of the date left, so that running a date again repairs a run that stopped between.
    """
    warehouse.ensure(schema.SCORES_HISTORY)
    warehouse.ensure(schema.SCORES)
    this_date = f"as_of_date = DATE '{as_of.isoformat()}'"
    history = warehouse.overwrite(
        warehouse.read(staged), schema.SCORES_HISTORY.name, schema.SCORES_HISTORY.partition, where=this_date
    )
    written = {schema.SCORES_HISTORY.name: history}
    held = _date_held(warehouse)
    if held is not None and as_of < held:
        logger.info("ulv_scores holds %s and stays as it is; %s went to ulv_scores_history alone", held, as_of)
        return written
    scores = warehouse.read(schema.SCORES_HISTORY.name, history).where(this_date)
    return written | {schema.SCORES.name: warehouse.overwrite(scores, schema.SCORES.name)}


def _date_held(warehouse: Warehouse) -> date | None:
    held: date | None = warehouse.read(schema.SCORES.name).agg(F.max("as_of_date")).collect()[0][0]
    return held
