"""Reads a company's tables where they are, and maps them to events, products, users and quarantine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial, reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.source.source import SourceConfig, TableMapping
from ulvspark.intake.columns.expressions import MappedTable
from ulvspark.intake.columns.targets import EVENTS_TARGET, PRODUCTS_TARGET, USERS_TARGET, Target
from ulvspark.intake.judging.checked_rows import check_rows, count_outcomes, good_rows, judged_rows
from ulvspark.intake.judging.identity import digest_of_mappings
from ulvspark.intake.judging.quarantine import Rules, event_rules, product_rules, quarantine_rows, user_rules
from ulvspark.intake.mapping import complete_events, map_table
from ulvspark.intake.price_stamps import PRICE_STAMPS
from ulvspark.intake.reading.new_rows import TableRows, all_rows, new_rows
from ulvspark.intake.reading.source_tables import read_table
from ulvspark.intake.time_zones import check_time_zones
from ulvspark.warehouse.changes.source_reads import LastReads, SourceRead


@dataclass(frozen=True)
class TargetRows:
    """The rows of all source tables of one contract table, of which nothing was read yet."""

    target: Target
    judged: DataFrame
    """Their rows in the contract's columns, each with its own ``outcome``."""
    removed: DataFrame | None
    """Keys of rows that the source no longer has; None where that is not known."""
    is_whole: bool
    """Whether these are all rows of the source, and not only what is new."""


@dataclass(frozen=True)
class MappedSource:
    """A source in the contract's columns, of which nothing was read yet."""

    name: str
    clock: datetime
    tables: tuple[MappedTable, ...]
    targets: tuple[TargetRows, ...]
    reads: tuple[SourceRead, ...]
    """What will have been read of each source table."""

    @property
    def whole_tables(self) -> set[str]:
        """The contract tables of which all rows of the source are read, and not only what is new."""
        return {each.target.table.name for each in self.targets if each.is_whole}


@dataclass(frozen=True)
class SourceRows:
    """A source in the contract's columns, read and judged.

    ``events`` lack the price stamps. ``outcomes`` counts rows, as ``outcomes.by_source_table`` reads them. All frames
    are made from the ``cached`` ones, so each source is read once; call ``release`` when done.
    """

    events: DataFrame
    products: DataFrame
    users: DataFrame
    quarantine: DataFrame
    outcomes: DataFrame
    keys: Mapping[str, DataFrame]
    """For each table, the keys of all rows that were read, good and bad."""
    cached: tuple[DataFrame, ...]

    def release(self) -> None:
        for frame in self.cached:
            frame.unpersist()


def map_source(
    spark: SparkSession,
    source: SourceConfig,
    source_root: str,
    clock: datetime,
    last: LastReads | None = None,
    sample_rows: int | None = None,
) -> MappedSource:
    """Map every table of ``source``; relative paths lie under ``source_root``.

    ``clock`` (with a time zone) is the time of the load; events after it are quarantined. Of tables that are read
    incrementally only what is new since the ``last`` reads is taken, everything where that is None, and of each source
    table ``sample_rows`` at most. Raises ExpectedError for a source table or column that is missing, for an expression
    that does what a mapping may not, for a type that cannot be converted, and for a time zone that Java does not know.
    """
    check_time_zones(spark, source)
    read = partial(_table_rows, spark, source, source_root, last or {}, sample_rows)
    judge = partial(judged_rows, spark, source)

    def complete(mapped: DataFrame, mapping: TableMapping) -> DataFrame:
        return complete_events(mapped, mapping.columns, source.time_zone, clock)

    tables: list[MappedTable] = []
    targets, reads = [], []
    for target, rules in _targets_and_rules(source, clock):
        parts = [read(target, place) for place in range(len(source.mappings(target.table.name)))]
        mapped = [MappedTable(part.rows, part.mapping, target) for part in parts]
        judged = judge(mapped, target, rules, complete if target is EVENTS_TARGET else None)
        is_whole = all(part.is_whole for part in parts)
        tables += mapped
        targets.append(TargetRows(target, judged, _removed_keys(parts, target, source), is_whole))
        reads += [_read_up_to(source, part, target, place) for place, part in enumerate(parts)]
    return MappedSource(source.name, clock, tuple(tables), tuple(targets), tuple(reads))


def _targets_and_rules(source: SourceConfig, clock: datetime) -> tuple[tuple[Target, Rules], ...]:
    return (
        (EVENTS_TARGET, event_rules(source)),
        (PRODUCTS_TARGET, product_rules()),
        (USERS_TARGET, user_rules(source, clock)),
    )


def read_source(mapped: MappedSource, run_id: str) -> SourceRows:
    """Read every table of a mapped source, and decide which rows are loaded."""
    keys = {each.target.table.name: each.target.table.key for each in mapped.targets}
    checked = {each.target.table.name: check_rows(each.judged, *each.target.table.key) for each in mapped.targets}
    frames = {name: each.rows for name, each in checked.items()}
    good = {name: good_rows(frame) for name, frame in frames.items()}
    bad = [quarantine_rows(frame, name, mapped.name, run_id, mapped.clock) for name, frame in frames.items()]
    products = good[schema.PRODUCTS.name].withColumnRenamed("content_hash", "text_hash")
    return SourceRows(
        good[schema.EVENTS.name].select(*(name for name in schema.EVENTS.names if name not in PRICE_STAMPS)),
        products.select(*schema.PRODUCTS.names),
        good[schema.USERS.name].select(*schema.USERS.names),
        reduce(DataFrame.union, bad),
        reduce(DataFrame.union, [count_outcomes(frame, name) for name, frame in frames.items()]),
        {name: frames[name].select(*key) for name, key in keys.items()},
        tuple(frame for each in checked.values() for frame in each.cached),
    )


def _table_rows(
    spark: SparkSession,
    source: SourceConfig,
    source_root: str,
    last: LastReads,
    sample_rows: int | None,
    target: Target,
    place: int,
) -> TableRows:
    """The rows of a source table that are to be read, given what the last load read."""
    mapping = source.mappings(target.table.name)[place]
    table = read_table(spark, mapping.read, source_root, target.table.name)
    if sample_rows is not None:
        return TableRows(mapping, table.limit(sample_rows), {})
    known = last.get((target.table.name, place))
    if known is None or known.mapping != digest_of_mappings(source):
        return all_rows(spark, mapping, source_root, table)
    (key,) = target.table.key
    return new_rows(spark, mapping, source_root, table, known.position, mapping.columns.get(key, "NULL"))


def _read_up_to(source: SourceConfig, part: TableRows, target: Target, place: int) -> SourceRead:
    digest = digest_of_mappings(source)
    return SourceRead(target.table.name, place, part.mapping.read.name, digest, part.position)


def _removed_keys(parts: Sequence[TableRows], target: Target, source: SourceConfig) -> DataFrame | None:
    """The keys of rows that the source tables no longer have; None where none of them says."""
    (key,) = target.table.key
    keys = [
        map_table(MappedTable(part.removed, part.mapping, target), source).select(key).where(F.col(key).isNotNull())
        for part in parts
        if part.removed is not None
    ]
    return reduce(DataFrame.union, keys) if keys else None
