"""Find the rows of a large table that have some of its keys, reading as little of it as possible."""

from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.schema import Table
from ulvspark.warehouse.tables import Warehouse

BROADCAST_LIMIT = 1_000_000
"""So many keys are sent to every task, which then looks for them in its part of the table."""


@dataclass(frozen=True)
class KnownRows:
    """The rows of a table that have one of the wanted keys."""

    rows: DataFrame
    number: int
    span: str | None
    """SQL of the table's ``order`` column that holds for all of them; None where that would leave out nothing."""


def known_rows(warehouse: Warehouse, table: Table, keys: DataFrame, number: int, span: str | None = None) -> KnownRows:
    """The rows of ``table`` whose key is in ``keys`` (``number`` different ones), cached on disk.

    A few keys are looked up in the key column alone; their rows are then read from the files whose span of the table's
    ``order`` column has any. ``span`` is SQL that bounds where keys are looked for at all.
    """
    (key,), order = table.key, str(table.order)
    searched = warehouse.read(table.name).where(span or "true")
    if number > BROADCAST_LIMIT:
        rows = searched.join(keys, key, "left_semi").persist(StorageLevel.DISK_ONLY)
        return KnownRows(rows, rows.count(), span)
    wanted = F.broadcast(keys)
    found = searched.select(key, order).join(wanted, key, "left_semi")
    bounds = (F.unix_micros(F.min(order)), F.unix_micros(F.max(order)))
    count, first, last = found.agg(F.count("*"), *bounds).collect()[0]
    if not count:
        return KnownRows(searched.limit(0), 0, span)
    around = f"{order} BETWEEN timestamp_micros({first}) AND timestamp_micros({last})"
    rows = searched.where(around).join(wanted, key, "left_semi").persist(StorageLevel.DISK_ONLY)
    return KnownRows(rows, count, around)
