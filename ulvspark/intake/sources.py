"""Reads a company's tables where they are, and maps them to events, products, users and quarantine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial, reduce

from pyspark.sql import DataFrame, SparkSession

from ulvspark.contract import schema
from ulvspark.contract.source import SourceConfig, TableMapping
from ulvspark.intake.checked_rows import checked_rows, count_outcomes, good_rows
from ulvspark.intake.columns.expressions import MappedTable
from ulvspark.intake.columns.targets import EVENTS_TARGET, PRODUCTS_TARGET, USERS_TARGET, Target
from ulvspark.intake.mapping import complete_events
from ulvspark.intake.price_stamps import PRICE_STAMPS
from ulvspark.intake.quarantine import PRODUCT_RULES, USER_RULES, event_rules, quarantine_rows
from ulvspark.intake.reading.source_tables import read_table
from ulvspark.intake.time_zones import check_time_zones


@dataclass(frozen=True)
class Mapped:
    """A source in the contract's columns; nothing is read before the first action.

    ``events`` lack the price stamps. ``outcomes`` counts rows: target, outcome (null for good rows, otherwise one of
    ``ulvspark.intake.quarantine``), rows. ``tables`` are the source's. All frames are made from the ``cached`` ones, so
    each source is read once; call ``release`` when done.
    """

    events: DataFrame
    products: DataFrame
    users: DataFrame
    quarantine: DataFrame
    outcomes: DataFrame
    tables: tuple[MappedTable, ...]
    cached: tuple[DataFrame, ...]

    def release(self) -> None:
        for frame in self.cached:
            frame.unpersist()


def read_source(spark: SparkSession, source: SourceConfig, source_root: str, clock: datetime, run_id: str) -> Mapped:
    """Map every table of ``source``; relative paths lie under ``source_root``.

    ``clock`` (with a time zone) is the time of the load; events after it are quarantined. Raises ExpectedError for a
    source table or column that is missing, for an expression that does what a mapping may not, for a type that cannot
    be converted, and for a time zone that Java does not know.
    """
    check_time_zones(spark, source)
    tables = partial(_read_tables, spark, source_root)
    check = partial(checked_rows, spark, source.time_zone)
    complete = partial(complete_events, time_zone=source.time_zone, clock=clock)
    event_tables = tables(source.events, EVENTS_TARGET)
    product_tables = tables(_as_tuple(source.products), PRODUCTS_TARGET)
    user_tables = tables(_as_tuple(source.users), USERS_TARGET)
    events = check(event_tables, EVENTS_TARGET, event_rules(source.currency), complete)
    products = check(product_tables, PRODUCTS_TARGET, PRODUCT_RULES)
    users = check(user_tables, USERS_TARGET, USER_RULES)
    checked = {schema.EVENTS.name: events, schema.PRODUCTS.name: products, schema.USERS.name: users}
    bad = [quarantine_rows(frame, name, source.name, run_id, clock) for name, frame in checked.items()]
    return Mapped(
        good_rows(events).select(*(name for name in schema.EVENTS.names if name not in PRICE_STAMPS)),
        good_rows(products).withColumnRenamed("content_hash", "text_hash").select(*schema.PRODUCTS.names),
        good_rows(users).select(*schema.USERS.names),
        reduce(DataFrame.union, bad),
        reduce(DataFrame.union, [count_outcomes(frame, name) for name, frame in checked.items()]),
        (*event_tables, *product_tables, *user_tables),
        tuple(checked.values()),
    )


def _as_tuple(mapping: TableMapping | None) -> tuple[TableMapping, ...]:
    return () if mapping is None else (mapping,)


def _read_tables(
    spark: SparkSession, source_root: str, mappings: Sequence[TableMapping], target: Target
) -> tuple[MappedTable, ...]:
    return tuple(
        MappedTable(read_table(spark, mapping.read, source_root, target.table.name), mapping, target)
        for mapping in mappings
    )
