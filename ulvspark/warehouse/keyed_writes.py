"""Writes by a table's key: rows are merged, added, replaced or removed."""

from dataclasses import dataclass

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from ulvspark.contract.schema import Table
from ulvspark.warehouse.tables import Warehouse

SHORT_SPANS = {"maxRecordsPerFile": "250000"}
"""Write options: files of sorted rows that each hold a short span of what they are sorted by."""


@dataclass(frozen=True)
class MergeCounts:
    """Rows a merge changed."""

    inserted: int
    updated: int


def merge(
    warehouse: Warehouse, frame: DataFrame, table: Table, update_when: str | None, span: str | None = None
) -> MergeCounts:
    """Merge rows by the table's key, each key at most once in ``frame``.

    ``update_when`` is an SQL condition on t (the table) and s (the rows) under which a known row is replaced; None only
    inserts. ``span`` is SQL of the table's columns that holds for every known row with a key of ``frame``: Delta then
    reads only files that can have such rows.
    """
    if not warehouse.number_of_files(table.name):
        return MergeCounts(insert(warehouse, _sorted_by_order(frame, table), table), 0)
    target = warehouse.delta_table(table.name).alias("t")
    on = " AND ".join(f"t.{column} <=> s.{column}" for column in table.key)
    merging = target.merge(frame.alias("s"), on if span is None else f"{on} AND t.{span}")
    if update_when is not None:
        merging = merging.whenMatchedUpdateAll(condition=update_when)
    # Counted by the merge itself: one that changes nothing makes no commit whose metrics could be read.
    with warehouse.commit(table.name):
        (counts,) = merging.whenNotMatchedInsertAll().execute().collect()
    return MergeCounts(int(counts["num_inserted_rows"]), int(counts["num_updated_rows"]))


def insert(warehouse: Warehouse, frame: DataFrame, table: Table) -> int:
    """Add rows whose keys the table does not have; returns how many."""
    counted = Observation()
    warehouse.append(frame.observe(counted, F.count("*").alias("rows")), table.name, SHORT_SPANS)
    return int(counted.get["rows"])


def add_sums(warehouse: Warehouse, frame: DataFrame, table: Table) -> None:
    """Add the sums of ``frame``, each key at most once, to those that ``table`` has; new keys become rows."""
    added = {name: f"t.{name} + s.{name}" for name in table.names if name not in table.key}
    merging = warehouse.delta_table(table.name).alias("t").merge(frame.alias("s"), _same_key(table))
    with warehouse.commit(table.name):
        merging.whenMatchedUpdate(set=dict(added)).whenNotMatchedInsertAll().execute()


def replace_rows(warehouse: Warehouse, frame: DataFrame, table: Table, keys: DataFrame) -> None:
    """Replace the rows whose key is in ``keys`` by the rows of ``frame``, which has no other keys."""
    replacements = keys.join(frame.withColumn("is_row", F.lit(True)), list(table.key), "left")
    merging = warehouse.delta_table(table.name).alias("t").merge(replacements.alias("s"), _same_key(table))
    merging = merging.whenMatchedDelete("s.is_row IS NULL").whenMatchedUpdateAll()
    with warehouse.commit(table.name):
        merging.whenNotMatchedInsertAll("s.is_row").execute()


def delete_keys(warehouse: Warehouse, table: Table, keys: DataFrame) -> None:
    """Remove the rows of ``table`` whose key is in ``keys``, each key once."""
    merging = warehouse.delta_table(table.name).alias("t").merge(keys.alias("s"), _same_key(table))
    with warehouse.commit(table.name):
        merging.whenMatchedDelete().execute()


def _same_key(table: Table) -> str:
    return " AND ".join(f"t.{column} = s.{column}" for column in table.key)


def _sorted_by_order(frame: DataFrame, table: Table) -> DataFrame:
    return frame if table.order is None else frame.sortWithinPartitions(table.order)
