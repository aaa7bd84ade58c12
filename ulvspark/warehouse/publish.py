"""Publish verified scores: every published table changes as a whole, in one commit, or not at all."""

import logging
from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.schema import SCORES, SCORES_HISTORY, Table
from ulvspark.warehouse.tables import Warehouse

logger = logging.getLogger(__name__)

DATE = "as_of_date"

PUBLISHED: tuple[Table, ...] = (SCORES_HISTORY, SCORES)
"""The tables that scores are published to, in the order of their commits.

A table partitioned by date keeps every date; any other holds the newest date only.
"""


def publish(
    warehouse: Warehouse, scores: DataFrame, as_of: date, tables: Sequence[Table] = PUBLISHED
) -> dict[str, int]:
    """Write verified ``scores`` of ``as_of`` to ``tables``; returns the new version of each table that was written.

    A date that is published again replaces what stands there, which also repairs a run that stopped half way. A table
    that holds the newest date only stays as it is when it holds a later one.
    """
    versions = {}
    for table in tables:
        warehouse.ensure(table)
        if DATE in table.partition:
            where = f"{DATE} = DATE '{as_of.isoformat()}'"
            versions[table.name] = warehouse.overwrite(scores, table.name, table.partition, where)
        elif (newest := _newest_date(warehouse, table)) is None or newest <= as_of:
            versions[table.name] = warehouse.overwrite(scores, table.name)
        else:
            logger.info("%s keeps %s, which is later than %s", table.name, newest, as_of)
    return versions


def _newest_date(warehouse: Warehouse, table: Table) -> date | None:
    newest: date | None = warehouse.read(table.name).agg(F.max(DATE)).collect()[0][0]
    return newest
