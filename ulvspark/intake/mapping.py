"""Maps a source table to a contract table: evaluates the SQL expressions, converts types, fills what is left out."""

from collections.abc import Collection
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.source.source import SourceConfig
from ulvspark.intake.columns.expressions import MappedTable, evaluate
from ulvspark.intake.columns.numbers import TOLERATED_LOSS
from ulvspark.intake.columns.typed_rows import typed_rows
from ulvspark.intake.judging import notes


def map_table(table: MappedTable, source: SourceConfig) -> DataFrame:
    """Rows of a source table as its target's columns (null where unmapped), with the further columns of ``typed_rows``.

    Raises ExpectedError where the mapping does not fit the table.
    """
    return typed_rows(evaluate(table, source.missing_words), table.mapping, table.target, source)


def complete_events(mapped: DataFrame, columns: Collection[str], time_zone: str, clock: datetime) -> DataFrame:
    """Fill what follows from other columns (quantity, prices, amount, order), and ``ingested_at``.

    ``columns`` are those that the source's mapping gives.
    """
    filled = mapped.withColumn("quantity", F.coalesce("quantity", F.when(_is_of_one("quantity" in columns), _one())))
    priced = filled.withColumns(
        {"unit_price": F.coalesce("unit_price", _share_of_total()), "was_priced": _was_priced()}
    )
    before_discount = F.col("unit_price") + F.col("discount") / F.col("quantity")
    paid = F.col("quantity") * F.col("unit_price")
    local_day = F.date_format(F.from_utc_timestamp("event_time", time_zone), "yyyy-MM-dd")
    return priced.withColumns(
        {
            "list_price": F.coalesce("list_price", before_discount.cast(schema.MONEY)),
            "amount": F.coalesce("amount", paid.cast(schema.MONEY)),
            "order_id": F.coalesce("order_id", F.concat_ws("/", "user_id", local_day)),
            "ingested_at": F.lit(clock),
            "notes": F.when(F.col("was_priced"), F.col("notes")).otherwise(F.col("notes").bitwiseOR(_lost_in_shares())),
        }
    ).drop("was_priced")


def _is_trade() -> Column:
    return F.col("event_type").isin("purchase", "return")


def _one() -> Column:
    return F.lit(1).cast(schema.MONEY)


def _is_of_one(is_mapped: bool) -> Column:
    """Whether an event that gives no quantity is of one piece: a trade where quantities are not mapped, or known by its
    total alone."""
    only_total = F.col("unit_price").isNull() & F.col("amount").isNotNull()
    return ~_is_trade() | ((F.lit(not is_mapped) | only_total) & ~F.col("failed_quantity"))


def _was_priced() -> Column:
    return F.col("unit_price").isNotNull() | F.col("amount").isNull()


def _share_of_total() -> Column:
    """The price of one piece of a trade of which the total is known; the total stays as it is."""
    shared = F.col("amount") / F.col("quantity")
    return F.when(_is_trade() & (F.col("quantity") > 0), shared.cast(schema.MONEY))


def _lost_in_shares() -> Column:
    """The note that a price made of a total, times the quantity, is another total."""
    total = F.col("amount").cast("double")
    again = F.col("unit_price").cast("double") * F.col("quantity").cast("double")
    differs = F.abs(again - total) > F.abs(total) * TOLERATED_LOSS
    return notes.note_bits(schema.EVENTS.name, {f"{notes.LOST_PRECISION}unit_price": differs})
