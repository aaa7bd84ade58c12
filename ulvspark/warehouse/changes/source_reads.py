"""What was read of each source table, so that the next load reads only what is new: the table ``source_reads``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import functions as F

from ulvspark.contract.schema import SOURCE_READS
from ulvspark.warehouse.keyed_writes import merge
from ulvspark.warehouse.tables import Warehouse


@dataclass(frozen=True)
class SourceRead:
    """One mapping of a source, and what was read by it."""

    target: str
    place: int
    """Which of the target's mappings it is, from 0."""
    source_table: str
    mapping: str
    """A digest of all in the source's YAML that decides what rows become."""
    position: Mapping[str, Any]


LastReads = Mapping[tuple[str, int], SourceRead]
"""What was read by the mapping of a target at a place."""


def last_reads(warehouse: Warehouse, source: str) -> LastReads:
    """What earlier loads have read of ``source``."""
    if not warehouse.exists(SOURCE_READS.name):
        return {}
    rows = warehouse.read(SOURCE_READS.name).where(F.col("source") == source).collect()
    reads = (SourceRead(row.target, row.place, row.source_table, row.mapping, json.loads(row.position)) for row in rows)
    return {(read.target, read.place): read for read in reads}


def save_reads(warehouse: Warehouse, source: str, reads: Sequence[SourceRead], run_id: str, clock: datetime) -> None:
    """Remember what a load has read, once its rows are in their tables; a load killed before that reads it again."""
    warehouse.ensure(SOURCE_READS)
    rows = [
        (source, read.target, read.place, read.source_table, read.mapping, json.dumps(read.position), run_id, clock)
        for read in reads
    ]
    frame = warehouse.spark.createDataFrame(rows, SOURCE_READS.ddl)
    merge(warehouse, frame, SOURCE_READS, update_when="true")


def other_sources(warehouse: Warehouse, source: str) -> list[str]:
    """Names of other sources that were loaded into the warehouse."""
    if not warehouse.exists(SOURCE_READS.name):
        return []
    names = warehouse.read(SOURCE_READS.name).select("source").distinct().collect()
    return sorted(row["source"] for row in names if row["source"] != source)
