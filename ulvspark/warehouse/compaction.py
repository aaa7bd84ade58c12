"""Joins the small files of tables that are updated each night."""

from ulvspark.warehouse.tables import Warehouse

MANY_FILES = 50
"""A table of so many files is compacted. Delta's own ``autoCompact`` would write a table of two small files anew."""


def compact(warehouse: Warehouse, name: str) -> None:
    """Join the small files of a table that has many files."""
    if warehouse.number_of_files(name) >= MANY_FILES:
        with warehouse.commit(name):
            warehouse.delta_table(name).optimize().executeCompaction()
