"""Maps a source table to a contract table: evaluates the SQL expressions, converts types, fills what is left out."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.source import TableMapping
from ulvspark.intake.columns.expressions import evaluate
from ulvspark.intake.columns.targets import Target
from ulvspark.intake.columns.typed_rows import typed_rows


def map_table(source: DataFrame, mapping: TableMapping, target: Target, time_zone: str) -> DataFrame:
    """Rows of ``source`` as ``target``'s columns (null where unmapped).

    Further columns: ``unparsable`` (the first column with a value that its type cannot hold), ``latest`` (the value of
    the mapping's latest_by, else null), and ``source_row`` (a struct of the whole row). Raises ExpectedError where the
    mapping does not fit the source.
    """
    evaluated = evaluate(source, mapping, target)
    return typed_rows(evaluated.rows, evaluated.kinds, target, mapping.time_zone or time_zone)


def complete_events(mapped: DataFrame, time_zone: str, clock: datetime) -> DataFrame:
    """Fill what follows from other columns (quantity, amount, list price, order), and ``ingested_at``."""
    is_trade = F.col("event_type").isin("purchase", "return")
    quantity = F.coalesce("quantity", F.when(~is_trade, F.lit(1)).cast(schema.MONEY))
    filled = mapped.withColumn("quantity", quantity)
    before_discount = F.col("unit_price") + F.col("discount") / F.col("quantity")
    paid = F.col("quantity") * F.col("unit_price")
    local_day = F.date_format(F.from_utc_timestamp("event_time", time_zone), "yyyy-MM-dd")
    return filled.withColumns(
        {
            "list_price": F.coalesce("list_price", before_discount.cast(schema.MONEY)),
            "amount": F.coalesce("amount", paid.cast(schema.MONEY)),
            "order_id": F.coalesce("order_id", F.concat_ws("/", "user_id", local_day)),
            "ingested_at": F.lit(clock),
        }
    )
