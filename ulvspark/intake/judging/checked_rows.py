"""Judges the rows of mapped tables: which are loaded, which are quarantined and why, and which are copies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from ulvspark.contract.source.source import SourceConfig, TableMapping
from ulvspark.intake.columns.expressions import MappedTable
from ulvspark.intake.columns.targets import Target
from ulvspark.intake.judging.identity import LATEST, SettledRows, content_hash, settle_identity
from ulvspark.intake.judging.notes import count_notes
from ulvspark.intake.judging.quarantine import CONTRADICTING_DUPLICATE, MALFORMED, Rules, first_reason
from ulvspark.intake.mapping import map_table

Complete = Callable[[DataFrame, TableMapping], DataFrame]


@dataclass(frozen=True)
class CheckedRows:
    """All rows of a contract table: its columns, ``content_hash``, ``source_table``, and for bad rows ``source_row``.

    ``outcome`` is null for good rows, of which no two share a key.
    """

    rows: DataFrame
    cached: tuple[DataFrame, ...]
    """What ``rows`` is computed from; unpersist it when done."""


def judged_rows(
    spark: SparkSession,
    source: SourceConfig,
    tables: Sequence[MappedTable],
    target: Target,
    rules: Rules,
    complete: Complete | None = None,
) -> DataFrame:
    """The rows of ``tables`` mapped to ``target``, each with its own ``outcome`` and ``notes``; nothing is read yet.

    Raises ExpectedError where a mapping does not fit its table.
    """
    parts = []
    for place, table in enumerate(tables):
        mapped = map_table(table, source)
        completed = complete(mapped, table.mapping) if complete else mapped
        parts.append(_judged(completed, place, table.mapping, target, rules))
    return reduce(partial(DataFrame.unionByName, allowMissingColumns=True), parts or [_no_rows(spark, target)])


def check_rows(judged: DataFrame, key: str) -> CheckedRows:
    """Read ``judged`` once, and settle which of its rows are the same."""
    # Not in memory: what does not fit there comes back from disk in blocks as large as a task's rows.
    cached = judged.drop("whole_row").persist(StorageLevel.DISK_ONLY)
    settled = settle_identity(cached, key)
    rows = settled.rows if settled.repeated.isEmpty() else _with_source_rows(settled, judged, key)
    return CheckedRows(rows, (cached, settled.repeated))


def good_rows(checked: DataFrame) -> DataFrame:
    """The rows that are loaded."""
    return checked.where(F.col("outcome").isNull())


def count_outcomes(checked: DataFrame, target: str) -> DataFrame:
    """How many rows of ``checked`` had each outcome (null for good rows), as ``outcomes.by_source_table`` reads it."""
    grouped = checked.groupBy(F.lit(target).alias("target"), "source_table", "outcome")
    return grouped.agg(F.count("*").alias("rows"), count_notes(target).alias("notes"))


def _no_rows(spark: SparkSession, target: Target) -> DataFrame:
    """A frame without rows, so that a table which the source lacks is handled like any other."""
    made = (
        "content_hash BIGINT, notes INT, outcome STRING, source_table STRING, source_row STRING, whole_row STRING, "
        "versions_of INT"
    )
    columns = ", ".join(f"{name} {kind}" for name, kind in target.columns.items())
    return spark.createDataFrame([], f"{columns}, {made}")


def _judged(mapped: DataFrame, place: int, mapping: TableMapping, target: Target, rules: Rules) -> DataFrame:
    """The rows of the source table at ``place`` with their ``outcome``, before keys are compared.

    A row that is bad by itself has its ``source_row``, as quarantine keeps it. ``whole_row`` is the same of every row;
    since most are good, it is read only where good rows turn out to contradict each other.
    """
    (key,) = target.table.key
    content = [name for name in target.table.names if name in target.columns and name != key]
    latest = LATEST + str(place)
    as_in_file = F.to_json(F.struct(F.col("malformed").alias(MALFORMED)))
    by_column = F.to_json("source_row", {"ignoreNullFields": "false"})
    whole_row = F.when(F.col("malformed").isNotNull(), as_in_file).otherwise(by_column)
    judged = mapped.withColumns(
        {
            "outcome": first_reason(rules),
            "content_hash": content_hash(mapped, content),
            "source_table": F.lit(mapping.read.name),
            "versions_of": F.lit(None if mapping.latest_by is None else place).cast("int"),
        }
    )
    shown = judged.withColumns(
        {"whole_row": whole_row, "source_row": F.when(F.col("outcome").isNotNull(), whole_row)}
    ).drop("fault", "malformed", *(f"failed_{name}" for name in target.needed))
    return shown.drop("latest") if mapping.latest_by is None else shown.withColumnRenamed("latest", latest)


def _with_source_rows(settled: SettledRows, judged: DataFrame, key: str) -> DataFrame:
    """The settled rows, where those that contradict each other got their source rows: the source is read again.

    A row that the source no longer has is shown by its mapped columns.
    """
    identity = [key, "content_hash", "source_table"]
    contradicting = F.col("outcome") == CONTRADICTING_DUPLICATE
    bad = settled.rows.where(contradicting).drop("source_row")
    if bad.isEmpty():
        return settled.rows
    wanted = F.broadcast(bad.select(*identity).distinct())
    found = judged.join(wanted, identity, "left_semi").select(*identity, "whole_row").dropDuplicates(identity)
    shown = F.coalesce("whole_row", F.to_json(F.struct(*bad.columns)))
    shown_rows = bad.join(F.broadcast(found), identity, "left").withColumn("source_row", shown).drop("whole_row")
    return settled.rows.where(~F.coalesce(contradicting, F.lit(False))).unionByName(shown_rows)
