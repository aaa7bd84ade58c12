"""Rows of the warehouse that the source no longer has: counted, and removed where its YAML says so."""

from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.source.source import SourceConfig
from ulvspark.intake.sources import MappedSource, SourceRows, TargetRows
from ulvspark.warehouse.changes.source_reads import other_sources
from ulvspark.warehouse.keyed_writes import delete_keys
from ulvspark.warehouse.tables import Warehouse


def handle_vanished(
    warehouse: Warehouse,
    source: SourceConfig,
    mapped: MappedSource,
    rows: SourceRows,
    full: bool,
    warn: Callable[[str], None],
) -> dict[str, int]:
    """Count the rows of each table that the source has no longer, and remove them where it says ``vanished: delete``.

    A ``full`` load compares all keys; any other knows what a change feed says. A full load compares nothing where other
    sources load into the warehouse too, whose rows cannot be told apart (``warn`` is told so), and where the source has
    no row at all.
    """
    counts = {}
    if full and (others := other_sources(warehouse, source.name)):
        warn(f"rows that the source no longer has are not looked for: {', '.join(others)} were loaded here too")
        full = False
    for each in mapped.targets:
        vanished = _vanished(warehouse, source, each, rows, full)
        if vanished is None:
            continue
        keys = vanished.distinct().persist()
        name, number = each.target.table.name, keys.count()
        counts[f"{name}_vanished"] = number
        if number and source.vanished == "delete":
            delete_keys(warehouse, each.target.table, keys)
            counts[f"{name}_deleted"] = number
        keys.unpersist()
    return counts


def _vanished(
    warehouse: Warehouse, source: SourceConfig, mapped: TargetRows, rows: SourceRows, full: bool
) -> DataFrame | None:
    """The keys of the table that the source no longer has; None where that is not known."""
    table = mapped.target.table
    (key,) = table.key
    present = rows.keys[table.name].where(F.col(key).isNotNull())
    known = warehouse.read(table.name).select(key)
    if full:
        nothing_read = not source.mappings(table.name) or present.isEmpty()
        return None if nothing_read else known.join(present, key, "left_anti")
    # Most nights nothing is removed: then the table need not be looked through.
    if mapped.removed is None or mapped.removed.isEmpty():
        return None
    return known.join(F.broadcast(mapped.removed), key, "left_semi").join(F.broadcast(present), key, "left_anti")
