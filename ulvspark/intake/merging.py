"""Merges a source's rows into their tables: what is new is added, what changed is replaced, the rest stays."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.source.source import SourceConfig
from ulvspark.intake.price_stamps import changed_events, price_sums, stamp
from ulvspark.warehouse.changes.known_rows import KnownRows, known_rows
from ulvspark.warehouse.changes.running_sums import RunningSums, bring_sums_up_to_date, replace_sums
from ulvspark.warehouse.keyed_writes import MergeCounts, insert, merge
from ulvspark.warehouse.tables import Warehouse

IS_CHANGED = {
    schema.EVENTS.name: "t.content_hash <> s.content_hash",
    schema.PRODUCTS.name: "t.text_hash <> s.text_hash",
    schema.USERS.name: (
        "NOT (t.signup <=> s.signup AND t.country <=> s.country AND to_json(t.attributes) <=> to_json(s.attributes))"
    ),
}
"""When a row that is there is replaced: SQL on t (the table) and s (the source's row)."""

PRICE_SUMS = RunningSums(schema.PRICE_DAYS, schema.EVENTS, price_sums, layout="1")


def merge_rows(
    warehouse: Warehouse, source: SourceConfig, table: schema.Table, rows: DataFrame, number: int
) -> MergeCounts:
    """Merge the good rows of ``source``, of which there are ``number``, into ``table``."""
    if not number:
        return MergeCounts(0, 0)
    if table is schema.EVENTS:
        return _merge_events(warehouse, source, rows, number)
    return merge(warehouse, rows, table, IS_CHANGED[table.name])


def _merge_events(warehouse: Warehouse, source: SourceConfig, events: DataFrame, number: int) -> MergeCounts:
    """Stamp the prices of new and changed events and merge them; an event keeps the stamps it once got."""
    products = warehouse.read(schema.PRODUCTS.name)
    if not warehouse.number_of_files(schema.EVENTS.name):
        no_prices = warehouse.spark.createDataFrame([], schema.PRICE_DAYS.ddl)
        with _price_sums_kept(events) as sums:
            merged = merge(warehouse, stamp(events, sums, None, no_prices, products), schema.EVENTS, None)
            # These are all events, so that their sums need not be computed once more from what was written.
            replace_sums(PRICE_SUMS, warehouse, sums, warehouse.version(schema.EVENTS.name))
        return merged
    bring_sums_up_to_date(PRICE_SUMS, warehouse)
    price_days = warehouse.read(schema.PRICE_DAYS.name)
    span = _span_of_corrections(events, source.corrections_reach_days)
    known = known_rows(warehouse, schema.EVENTS, events.select("event_id"), number, span)
    if not known.number:
        with _price_sums_kept(events) as sums:
            stamped = stamp(events, sums, None, price_days, products)
            return MergeCounts(insert(warehouse, stamped, schema.EVENTS), 0)
    return _merge_with_known(warehouse, events, known, price_days, products)


def _merge_with_known(
    warehouse: Warehouse, events: DataFrame, known: KnownRows, price_days: DataFrame, products: DataFrame
) -> MergeCounts:
    """Merge events some of which are ``known``: those that did not change are left out."""
    changed = changed_events(events, known.rows).persist(StorageLevel.DISK_ONLY)
    merged = MergeCounts(0, 0)
    if not changed.isEmpty():
        replaced = known.rows.join(changed.select("event_id"), "event_id", "left_semi")
        with _price_sums_kept(changed) as sums:
            stamped = stamp(changed, sums, replaced, price_days, products)
            merged = merge(warehouse, stamped, schema.EVENTS, IS_CHANGED[schema.EVENTS.name], known.span)
    changed.unpersist()
    known.rows.unpersist()
    return merged


@contextmanager
def _price_sums_kept(events: DataFrame) -> Iterator[DataFrame]:
    """``price_sums`` of new events, cached while the block runs."""
    sums = price_sums(events, F.lit(1)).persist(StorageLevel.DISK_ONLY)
    yield sums
    sums.unpersist()


def _span_of_corrections(events: DataFrame, reach_days: int | None) -> str | None:
    """SQL for the times of known events that ``events`` may correct; None for all times."""
    if reach_days is None:
        return None
    reach = F.make_interval(days=F.lit(reach_days))
    first, last = F.min("event_time") - reach, F.max("event_time") + reach
    span = events.agg(F.unix_micros(first), F.unix_micros(last)).collect()[0]
    return f"event_time BETWEEN timestamp_micros({span[0]}) AND timestamp_micros({span[1]})"
