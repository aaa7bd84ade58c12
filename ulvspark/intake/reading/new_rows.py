"""The rows of a source table that no earlier load has read: by its Delta versions, its files, or a column of times."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import Since, TableMapping
from ulvspark.intake.reading.delta_changes import delta_source, new_delta_rows
from ulvspark.intake.reading.source_files import file_stamps, read_files

logger = logging.getLogger(__name__)

Position = Mapping[str, Any]
"""What was read of a table, as values that JSON holds; empty where nothing was."""


@dataclass(frozen=True)
class TableRows:
    """What a load reads of one source table."""

    mapping: TableMapping
    rows: DataFrame
    position: Position
    """What will have been read once these rows are loaded."""
    removed: DataFrame | None = None
    """Rows that the table no longer has; None where that is not known."""
    is_whole: bool = True


def all_rows(spark: SparkSession, mapping: TableMapping, source_root: str, table: DataFrame) -> TableRows:
    """Every row of ``table``, as it is now. Raises ExpectedError where it cannot be read incrementally at all."""
    if isinstance(mapping.incremental, Since):
        return TableRows(mapping, table, {"since": _newest(table, mapping.incremental, mapping)})
    if not mapping.incremental:
        return TableRows(mapping, table, {})
    if mapping.read.format == "delta":
        source = delta_source(spark, mapping.read, source_root)
        return TableRows(mapping, source.at_newest(), {"id": source.id, "version": source.version})
    return TableRows(mapping, table, {"files": file_stamps(table)})


def new_rows(
    spark: SparkSession, mapping: TableMapping, source_root: str, table: DataFrame, last: Position, key: str
) -> TableRows:
    """The rows of ``table`` that are new since the ``last`` position; all of them where that cannot be known.

    ``key`` is the SQL expression of the mapping for the key of a row.
    """
    whole = all_rows(spark, mapping, source_root, table)
    if not last or not mapping.incremental:
        return whole
    if isinstance(mapping.incremental, Since):
        if last["since"] is None:
            return whole
        return TableRows(mapping, _later(table, mapping.incremental, last["since"]), whole.position, is_whole=False)
    if mapping.read.format == "delta":
        source = delta_source(spark, mapping.read, source_root)
        # The rows of an array have keys of their own, which the table's rows do not have.
        has_keys = mapping.explode is None
        changes = new_delta_rows(source, last, mapping.filter if has_keys else None, key if has_keys else "NULL")
        if isinstance(changes, str):
            logger.info("%s: all rows are read, since %s", mapping.read.name, changes)
            return whole
        return TableRows(mapping, changes.rows, whole.position, changes.removed, is_whole=False)
    return _rows_of_new_files(spark, mapping, source_root, whole, last)


def _rows_of_new_files(
    spark: SparkSession, mapping: TableMapping, source_root: str, whole: TableRows, last: Position
) -> TableRows:
    seen, now = last["files"], whole.position["files"]
    gone = len(seen.keys() - now.keys())
    if gone:
        logger.warning("%s: %d files that were read are gone; --full finds the rows they had", mapping.read.name, gone)
    fresh = sorted(path for path, stamp in now.items() if seen.get(path) != stamp)
    logger.info("%s: %d of %d files are new", mapping.read.name, len(fresh), len(now))
    rows = read_files(spark, mapping.read, source_root, whole.rows, fresh)
    return TableRows(mapping, rows, whole.position, is_whole=False)


def _newest(table: DataFrame, since: Since, mapping: TableMapping) -> str | None:
    """The newest time in the column, found before rows are read, so that none is missed; None where it has none.

    A time that lies ahead does not count: after one mistyped year no later row would be new.
    """
    if since.since not in table.columns or table.schema[since.since].dataType.typeName() not in _TIMES:
        raise ExpectedError(
            f"{mapping.read.name}: incremental.since names {since.since!r}, which is not a date or timestamp column of "
            f"the table; it has {', '.join(f'{name} {kind}' for name, kind in table.dtypes)}"
        )
    # Local times are ahead of UTC by less than a day.
    ahead = F.col(since.since) > F.now() + F.make_interval(days=F.lit(1))
    newest = table.agg(F.max(F.when(~ahead, F.col(since.since))).cast("string")).collect()[0][0]
    return None if newest is None else str(newest)


_TIMES = ("date", "timestamp", "timestamp_ntz")


def _later(table: DataFrame, since: Since, newest: str) -> DataFrame:
    """Rows from the overlap before ``newest`` on, and those without a time: nobody knows whether these are new."""
    kind = table.schema[since.since].dataType.simpleString()
    start = F.lit(newest).cast("timestamp_ntz") - F.make_interval(days=F.lit(since.overlap_days))
    return table.where((F.col(since.since) >= start.cast(kind)) | F.col(since.since).isNull())
