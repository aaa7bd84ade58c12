"""Publish verified scores: every published table changes as a whole, in one commit, or not at all."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.errors import RetryableError
from ulvspark.contract.schema import PUBLICATIONS, SCORES, SCORES_HISTORY, Table
from ulvspark.warehouse.lease.holding import log_held
from ulvspark.warehouse.tables import FOR_EVERY_READER, Warehouse

logger = logging.getLogger(__name__)

DATE = "as_of_date"

LEASE_NUMBERS = 10**11
"""More than there are numbers of leases, which are seconds since 1970."""

PUBLISHED: tuple[Table, ...] = (SCORES_HISTORY, SCORES)
"""The tables that scores are published to, in the order of their commits.

A table partitioned by date keeps every date; any other holds the newest date only.
"""


@dataclass(frozen=True)
class Order:
    """The place of a write among those of one ``application`` to a table: only higher numbers come after it."""

    application: str
    number: int


def publish(
    warehouse: Warehouse, scores: DataFrame, as_of: date, lease_number: int, tables: Sequence[Table] = PUBLISHED
) -> dict[str, int]:
    """Write verified ``scores`` of ``as_of`` to ``tables``; returns the new version of each table that was written.

    A date that is published again replaces what stands there, which also repairs a run that stopped half way. A table
    that holds the newest date only stays as it is when it holds a later one, or gets one while this is going on: each
    commit holds the condition that nothing of a later date, or of a later holder of the lease with ``lease_number``,
    was committed before.

    Raises RetryableError where a later holder of the lease has published the same date.
    """
    versions = {}
    for table in tables:
        warehouse.ensure(table, FOR_EVERY_READER)
        keeps_dates = DATE in table.partition
        if not keeps_dates and (newest := _newest_date(warehouse, table)) is not None and newest > as_of:
            logger.info("%s keeps %s, which is later than %s", table.name, newest, as_of)
            continue
        where = f"{DATE} = DATE '{as_of.isoformat()}'" if keeps_dates else None
        version = _overwrite_in_order(warehouse, scores, table, _order(as_of, lease_number, keeps_dates), where)
        if version is None:
            _check_was_overtaken(warehouse, table, as_of)
        else:
            versions[table.name] = version
    return versions


def _overwrite_in_order(
    warehouse: Warehouse, scores: DataFrame, table: Table, order: Order, where: str | None
) -> int | None:
    """Replace the table, or its rows ``where``; returns the new version, None if a write of a higher order was there.

    Delta compares the order within the commit, so of two writers at the same time the higher one wins, whichever comes
    last.
    """
    before = warehouse.version(table.name)
    options = {"txnAppId": order.application, "txnVersion": str(order.number)}
    version = warehouse.overwrite(scores, table.name, where=where, options=options)
    return None if version == before else version


def _order(as_of: date, lease_number: int, keeps_dates: bool) -> Order:
    """Of one date, the later holder of the lease wins; in a table of one date, a later date wins before that."""
    if keeps_dates:
        return Order(f"ulvspark scores of {as_of.isoformat()}", lease_number)
    return Order("ulvspark newest scores", as_of.toordinal() * LEASE_NUMBERS + lease_number)


def _check_was_overtaken(warehouse: Warehouse, table: Table, as_of: date) -> None:
    """Nothing was written, which is right where a later date was published meanwhile."""
    newest = _newest_date(warehouse, table)
    if DATE not in table.partition and newest is not None and newest > as_of:
        logger.info("%s got %s meanwhile, which is later than %s", table.name, newest, as_of)
        return
    raise RetryableError(
        f"table {table.name} of {warehouse.root} had scores of a later date or run before, and is left as it is; if "
        f"they were taken out by hand to publish {as_of}, drop the table and run again"
    )


def record_publication(warehouse: Warehouse, run_id: str, step: str, as_of: date, versions: Mapping[str, int]) -> None:
    """Add the row of ``ulv_published`` that says which versions of the tables belong together."""
    row = {
        "as_of_date": as_of,
        "step": step,
        "run_id": run_id,
        "published_at": datetime.now(UTC),
        "versions": dict(versions),
    }
    with log_held(warehouse, run_id):
        warehouse.ensure(PUBLICATIONS, FOR_EVERY_READER)
        warehouse.append_rows(PUBLICATIONS, [row])


def _newest_date(warehouse: Warehouse, table: Table) -> date | None:
    newest: date | None = warehouse.read(table.name).agg(F.max(DATE)).collect()[0][0]
    return newest
