"""Judges the rows of mapped tables: which are loaded, which are quarantined and why, and which are copies."""

from collections.abc import Callable, Sequence
from functools import partial, reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from ulvspark.contract.source import SourceConfig, TableMapping
from ulvspark.intake.columns.targets import Target
from ulvspark.intake.identity import content_hash, mark_superseded, settle_identity
from ulvspark.intake.mapping import map_table
from ulvspark.intake.notes import count_notes
from ulvspark.intake.quarantine import Rules, first_reason, is_quarantined

Tables = Sequence[tuple[TableMapping, DataFrame]]
"""The source tables of one contract table, each with its mapping."""


def checked_rows(
    spark: SparkSession,
    source: SourceConfig,
    tables: Tables,
    target: Target,
    rules: Rules,
    complete: Callable[[DataFrame, TableMapping], DataFrame] = lambda mapped, _: mapped,
) -> DataFrame:
    """All rows of a contract table, with ``outcome``, ``notes``, ``content_hash``, ``source_table`` and, for bad rows,
    ``source_row``; cached."""
    (key,) = target.table.key
    rows = [] if tables else [_no_rows(spark, target)]
    for mapping, frame in tables:
        mapped = complete(map_table(frame, mapping, target, source), mapping)
        rows.append(_with_outcome(mapped, mapping, target, rules, alone=len(tables) == 1))
    settled = settle_identity(reduce(partial(DataFrame.unionByName, allowMissingColumns=True), rows), key)
    source_row = F.when(is_quarantined(F.col("outcome")), F.col("source_row"))
    # Not in memory: what does not fit there comes back from disk in blocks as large as a task's rows.
    return settled.withColumn("source_row", source_row).persist(StorageLevel.DISK_ONLY)


def good_rows(checked: DataFrame) -> DataFrame:
    """The rows that are loaded."""
    return checked.where(F.col("outcome").isNull())


def count_outcomes(checked: DataFrame, target: str) -> DataFrame:
    """How many rows of ``checked`` had each outcome (null for good rows), as ``outcomes.by_source_table`` reads it."""
    grouped = checked.groupBy(F.lit(target).alias("target"), "source_table", "outcome")
    return grouped.agg(F.count("*").alias("rows"), count_notes(target).alias("notes"))


def _no_rows(spark: SparkSession, target: Target) -> DataFrame:
    """A frame without rows, so that a table which the source lacks is handled like any other."""
    made = "content_hash STRING, notes INT, outcome STRING, source_table STRING, source_row STRING"
    columns = ", ".join(f"{name} {kind}" for name, kind in target.columns.items())
    return spark.createDataFrame([], f"{columns}, {made}")


def _with_outcome(mapped: DataFrame, mapping: TableMapping, target: Target, rules: Rules, alone: bool) -> DataFrame:
    """The rows of one source table with ``outcome``; ``alone`` says that no other table has rows for the target."""
    (key,) = target.table.key
    content = [name for name in target.table.names if name in target.columns and name != key]
    judged = mapped.withColumns({"outcome": first_reason(rules), "content_hash": content_hash(mapped, content)})
    # Whole source rows are written only where they may still be needed, since most rows are good.
    settled = mapping.latest_by is not None and alone
    may_contradict = F.lit(False) if settled else F.col(key).isNotNull()
    source_row = F.to_json("source_row", {"ignoreNullFields": "false"})
    kept = judged.withColumns(
        {
            "source_table": F.lit(mapping.read.name),
            "source_row": F.when(F.col("outcome").isNotNull() | may_contradict, source_row),
        }
    )
    kept = kept if mapping.latest_by is None else mark_superseded(kept, key)
    return kept.drop("fault", "latest", *(f"failed_{name}" for name in target.needed))
