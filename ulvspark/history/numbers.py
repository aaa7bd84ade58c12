"""The numbers of a user: which sums one pass over the events takes, and what is computed from them.

Every sum is of decimals or integers and turns into a double only at the end, so partitioning changes no bit.
"""

from datetime import date

from pyspark.sql import Column
from pyspark.sql import functions as F

from ulvspark.contract.spec import HistorySpec
from ulvspark.history.days import day_number

PURCHASE = "event_type = 'purchase'"
PAID_OF_LIST = f"{PURCHASE} AND list_price IS NOT NULL AND quantity IS NOT NULL AND amount IS NOT NULL"
RELATION_KNOWN = f"{PURCHASE} AND price_relation IS NOT NULL"
BELOW_REFERENCE = f"{PURCHASE} AND price_relation = 'below'"

NET_AMOUNT = "CASE event_type WHEN 'purchase' THEN amount WHEN 'return' THEN -amount END"
"""What an event adds to net spend: purchases add, returns take away, everything else is null."""


def total(value: str, condition: str = "TRUE") -> Column:
    """The exact sum of the SQL expression ``value`` where ``condition`` holds, 0 where it never does."""
    return F.coalesce(F.sum(F.when(F.expr(condition), F.expr(value))), F.lit(0))


def share(part: Column, whole: Column) -> Column:
    """``part / whole`` as a DOUBLE clipped to [0, 1]; null when ``whole`` is not positive."""
    ratio = part.cast("double") / whole.cast("double")
    return F.when(whole > 0, F.greatest(F.lit(0.0), F.least(F.lit(1.0), ratio)))


def sums(spec: HistorySpec, as_of: date) -> list[Column]:
    """Aggregates over a user's events, which carry ``day`` (local) and ``category``; ``numbers`` reads them.

    The sets grow with what is distinct in a user's life, never with the number of events.
    """
    return [
        *(total(NET_AMOUNT, _within(days, as_of)).alias(f"net_spend_{days}d") for days in spec.windows_days),
        total(NET_AMOUNT).alias("net_spend"),
        total("amount", PURCHASE).alias("bought"),
        total("amount", "event_type = 'return'").alias("returned"),
        total("quantity * list_price", PAID_OF_LIST).alias("list_value"),
        total("amount", PAID_OF_LIST).alias("paid_of_list"),
        total("amount", RELATION_KNOWN).alias("bought_known"),
        total("amount", BELOW_REFERENCE).alias("bought_below"),
        total("quantity", PURCHASE).alias("items"),
        *(F.count_if(F.col("event_type") == kind).alias(f"{kind}_events") for kind in _activity_kinds(spec)),
        F.min("day").alias("first_day"),
        F.collect_set("day").alias("active"),
        _set_of_bought("struct(order_id, day)").alias("order_days"),
        _set_of_bought("product_id").alias("bought_products"),
        _set_of_bought("substring_index(category, ' > ', 1)").alias("bought_categories"),
    ]


def _set_of_bought(value: str) -> Column:
    return F.collect_set(F.when(F.expr(PURCHASE), F.expr(value)))


def _activity_kinds(spec: HistorySpec) -> list[str]:
    return [name.removesuffix("_events") for name in spec.count_numbers if name.endswith("_events")]


def _within(days: int, as_of: date) -> str:
    return f"day >= {day_number(as_of) - days}"


def purchase_days() -> Column:
    """The distinct local days with a purchase, oldest first, of ``order_days``."""
    return F.sort_array(F.array_distinct(F.transform("order_days", lambda each: each["day"])))


def numbers(spec: HistorySpec, as_of: date) -> list[Column]:
    """``spec.numbers`` as DOUBLE, null = unknown, from ``sums``, ``purchase_days`` and ``signup``."""
    today = day_number(as_of)
    signup_days = today - F.unix_date("signup")
    computed = {
        "order_value": F.when(_orders() > 0, F.col("bought").cast("double") / _orders()),
        "recency_days": today - F.array_max("purchase_days"),
        "tenure_days": today - F.col("first_day"),
        "signup_days": F.when(signup_days > 0, signup_days),
        "orders": _orders(),
        **{f"orders_{days}d": _orders(_within_order(days, as_of)) for days in spec.windows_days},
        "active_days": F.size("active"),
        **_gaps(),
        "products": F.size("bought_products"),
        "categories": F.size("bought_categories"),
        "return_share": share(F.col("returned"), F.col("bought")),
        "discount_share": share(F.col("list_value") - F.col("paid_of_list"), F.col("list_value")),
        "below_reference_share": share(F.col("bought_below"), F.col("bought_known")),
    }
    known = F.col("first_day").isNotNull()
    return [F.when(known, computed.get(name, F.col(name))).cast("double").alias(name) for name in spec.numbers]


def _orders(order_days: Column | None = None) -> Column:
    chosen = F.col("order_days") if order_days is None else order_days
    return F.size(F.array_distinct(F.transform(chosen, lambda each: each["order_id"])))


def _within_order(days: int, as_of: date) -> Column:
    return F.filter("order_days", lambda each: each["day"] >= day_number(as_of) - days)


def _gaps() -> dict[str, Column]:
    """Mean and population standard deviation of the days between purchase days; null under one and two gaps.

    n gaps sum to the span from first to last day, so std = sqrt(n * sum(gap^2) - span^2) / n holds in integers.
    """
    days = F.col("purchase_days")
    n = F.greatest(F.size(days) - 1, F.lit(0))
    span = (F.array_max(days) - F.array_min(days)).cast("bigint")
    squares = F.zip_with(
        F.slice(days, 2, n), F.slice(days, 1, n), lambda late, early: ((late - early) * (late - early)).cast("bigint")
    )
    of_squares = F.aggregate(squares, F.lit(0).cast("bigint"), lambda so_far, square: so_far + square)
    return {
        "gap_mean_days": F.when(n > 0, span / n),
        "gap_std_days": F.when(n > 1, F.sqrt((n * of_squares - span * span).cast("double")) / n),
    }
