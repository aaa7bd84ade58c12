"""Compares the tables of a warehouse with their contract, before a job reads them or writes to them."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pyspark.sql.types import StructField

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import Table
from ulvspark.warehouse.tables import Warehouse


def check_tables(
    warehouse: Warehouse,
    *,
    read: Sequence[Table] = (),
    added_to: Sequence[Table] = (),
    merged: Sequence[Table] = (),
    replaced: Sequence[Table] = (),
) -> None:
    """Check the tables that are there, by their schemas in Delta's log: no Spark job is started.

    Columns must have the types of the contract. Tables that are ``read`` or ``merged`` have all of them, and to the
    others a write adds those that may be null. Tables that are ``merged`` into or ``replaced``, as a whole or by date,
    have no other ones, whose values a write would lose. Raises ExpectedError that names every column that differs, and
    what to do.
    """
    differences: list[str] = []
    for table in dict.fromkeys((*read, *added_to, *merged, *replaced)):
        if warehouse.exists(table.name):
            snapshot = warehouse.snapshot(table.name)
            actual = _fields(snapshot)
            is_complete, is_only_ours = table in (*read, *merged), table in (*merged, *replaced)
            differences += _wrong_columns(warehouse, table, actual, is_complete)
            differences += _strange_columns(table, actual) if is_only_ours else ()
            differences += () if table in read else _wrong_writes(table, actual, snapshot)
    if differences:
        raise ExpectedError(f"warehouse {warehouse.root}: {'; '.join(dict.fromkeys(differences))}")


def _fields(snapshot: Any) -> dict[str, StructField]:  # noqa: ANN401 - Delta's own Java object
    fields = (StructField.fromJson(field) for field in json.loads(snapshot.schema().json())["fields"])
    return {field.name.lower(): field for field in fields}


def _wrong_columns(
    warehouse: Warehouse, table: Table, actual: dict[str, StructField], is_complete: bool
) -> Iterator[str]:
    contract = warehouse.spark.createDataFrame([], table.ddl).schema
    for column, wanted in zip(table.columns, contract, strict=True):
        field, name = actual.get(column.name), f"table {table.name}, column {column.name}"
        if field is None:
            if is_complete or column.required:
                yield f"{name} is missing; restore it, or move the table away and run the job that writes it"
        elif field.dataType.simpleString() != wanted.dataType.simpleString():
            yield (
                f"{name} is {field.dataType.simpleString().upper()} instead of {column.type}; write the table again "
                "with that type, or move it away and run the job that writes it"
            )


def _strange_columns(table: Table, actual: dict[str, StructField]) -> Iterator[str]:
    for name in actual.keys() - set(table.names):
        yield (
            f"table {table.name}, column {actual[name].name} is not one of ulvspark's, whose writes would lose its "
            "values; move it to a table of your own with the same key, and drop it here"
        )


def _wrong_writes(table: Table, actual: dict[str, StructField], snapshot: Any) -> Iterator[str]:  # noqa: ANN401
    """What would stop a write alone: a null that is not taken, and other partitions."""
    for column in table.columns:
        field = actual.get(column.name)
        if field is not None and not (field.nullable or column.required):
            cure = f"run ALTER TABLE with ALTER COLUMN {column.name} DROP NOT NULL"
            yield f"table {table.name}, column {column.name} takes no null; {cure}"
    partition = [name for name in snapshot.metadata().partitionColumns().mkString(",").split(",") if name]
    if table.partition and partition != list(table.partition):
        yield (
            f"table {table.name} is partitioned by {', '.join(partition) or 'nothing'} instead of "
            f"{', '.join(table.partition)}; write it again with these partitions"
        )
