"""Labels: what users did in the window after the date, and the training rows they make."""

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.history.days import local_midnight

PURCHASE = "event_type = 'purchase'"
RELATION_KNOWN = f"{PURCHASE} AND price_relation IS NOT NULL"
BELOW_REFERENCE = f"{PURCHASE} AND price_relation = 'below'"
NET_AMOUNT = "CASE event_type WHEN 'purchase' THEN amount WHEN 'return' THEN -amount END"


def label(events: DataFrame, as_of: date, horizon_days: int, time_zone: str) -> DataFrame:
    """Labels of users with an event in [as_of, as_of + horizon_days), both local midnights in ``time_zone``.

    Columns: user_id; spend DOUBLE = max(0, purchases - returns) in the warehouse's currency; churned INT = 1 without
    a purchase; price_sensitivity DOUBLE = the share of purchase amount at price_relation 'below' among purchases
    whose relation is known, null when there is none; orders_in_horizon BIGINT = the orders with a purchase, where
    purchases without an order id are one order together, as in ``history.numbers``.
    """
    start, end = (local_midnight(day, time_zone) for day in (as_of, as_of + timedelta(days=horizon_days)))
    window = events.where((F.col("event_time") >= F.lit(start)) & (F.col("event_time") < F.lit(end)))
    net = _total(NET_AMOUNT)
    sensitivity = _share(_total("amount", BELOW_REFERENCE), _total("amount", RELATION_KNOWN))
    return window.groupBy("user_id").agg(
        F.greatest(net, F.lit(0)).cast("double").alias("spend"),
        (F.count_if(F.expr(PURCHASE)) == 0).cast("int").alias("churned"),
        sensitivity.alias("price_sensitivity"),
        _orders().alias("orders_in_horizon"),
    )


def _orders() -> Column:
    with_id = F.count_distinct(F.when(F.expr(PURCHASE), F.col("order_id")))
    return with_id + F.bool_or(F.expr(f"{PURCHASE} AND order_id IS NULL")).cast("bigint")


def _total(value: str, condition: str = "TRUE") -> Column:
    """The exact sum of the SQL expression ``value`` where ``condition`` holds, 0 where it never does."""
    return F.coalesce(F.sum(F.when(F.expr(condition), F.expr(value))), F.lit(0))


def _share(part: Column, whole: Column) -> Column:
    """``part / whole`` as a DOUBLE clipped to [0, 1]; null when ``whole`` is not positive."""
    ratio = part.cast("double") / whole.cast("double")
    return F.when(whole > 0, F.greatest(F.lit(0.0), F.least(F.lit(1.0), ratio)))


def training_rows(behaviour: DataFrame, labels: DataFrame) -> DataFrame:
    """Eligible users of ``behaviour`` with their labels; without an event in the window they spent 0 and churned."""
    joined = behaviour.where("eligible").drop("eligible", "exact").join(labels, "user_id", "left")
    without_event = {"spend": F.lit(0.0), "churned": F.lit(1), "orders_in_horizon": F.lit(0)}
    return joined.withColumns({name: F.coalesce(name, value) for name, value in without_event.items()})
