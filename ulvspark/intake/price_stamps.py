"""Puts the price of each new event into words: against the product's earlier prices, and within its category.

These words, the stamps, use only strictly earlier UTC days and are never revised, so neither a late event nor today's
prices change what the network reads of a user.
"""

import math

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from ulvspark.contract import schema

PRICE_STAMPS = ("reference_price", "price_relation", "price_level")

PRICED = ("product_id", "unit_price", "list_price")
"""What a stamp is made from: an event that was loaded before is stamped again only when one of these changed."""

LEVEL_CUTS = (-0.8416, -0.2533, 0.2533, 0.8416)
"""Standard deviations of ln(price) between the price levels: the quintiles of a normal distribution."""

MINIMUM_PRICES = 30
"""A category with fewer earlier prices than this gives no price level."""

LN_UNITS = 1_000_000
"""Logarithms are summed as whole millionths, since sums of whole numbers do not depend on partitioning."""

DAY = ("stamp_product", "stamp_day")


def changed_events(events: DataFrame, known: DataFrame) -> DataFrame:
    """The mapped ``events`` that ``known`` (the events table) lacks, or holds with other content."""
    return events.join(known.select(*schema.EVENTS.key, "content_hash"), ["event_id", "content_hash"], "left_anti")


def stamp(new_events: DataFrame, known_events: DataFrame, products: DataFrame) -> DataFrame:
    """``new_events`` in the columns of ``schema.EVENTS``.

    An event that is known keeps its stamps (``schema.STAMPED``) unless its product or price changed. Every other event
    gets a reference price (the list price, or the mean price paid for the product on earlier days), the relation of the
    unit price to it, and the level of the unit price within the product's top category (products without a category
    count as one category).
    """
    before = _prices_before(new_events, known_events, products)
    priced = _with_day(new_events).join(before, list(DAY), "left")
    fresh = priced.withColumn("reference_price", _reference_price()).select(
        *new_events.columns,
        "reference_price",
        _price_relation().alias("price_relation"),
        _price_level().alias("price_level"),
    )
    return _keep_known_stamps(fresh, known_events)


def _keep_known_stamps(fresh: DataFrame, known_events: DataFrame) -> DataFrame:
    kept = F.struct(*PRICED, *schema.STAMPED).alias("known")
    joined = fresh.join(known_events.select("event_id", kept), "event_id", "left")
    same = F.col("known").isNotNull()
    for name in PRICED:
        same = same & F.col(name).eqNullSafe(F.col(f"known.{name}"))
    stamps = {name: F.when(same, F.col(f"known.{name}")).otherwise(F.col(name)) for name in schema.STAMPED}
    return joined.withColumns(stamps).select(*schema.EVENTS.names)


def _reference_price() -> Column:
    return F.coalesce(F.nullif("list_price", F.lit(0)), "mean_price")


def _price_relation() -> Column:
    below, at, above = schema.PRICE_RELATIONS
    threshold = F.lit(str(schema.DISCOUNT_THRESHOLD)).cast("decimal(4,3)")
    difference = F.col("unit_price") - F.col("reference_price")
    allowed = F.col("reference_price") * threshold
    relation = F.when(difference <= -allowed, below).when(difference >= allowed, above).otherwise(at)
    return F.when(difference.isNotNull() & (F.col("reference_price") > 0), relation)


def _price_level() -> Column:
    count, total, squares = (F.col(name).cast("double") for name in ("prices", "ln_sum", "ln_squares"))
    mean = total / count
    # Prices that lie closer together than the threshold for a discount get no different words.
    narrowest = LN_UNITS * math.log1p(schema.DISCOUNT_THRESHOLD)
    deviation = F.sqrt(F.greatest(squares / count - mean * mean, F.lit(narrowest**2)))
    score = (_ln_price() - mean) / deviation
    level = F.lit(schema.PRICE_LEVELS[-1])
    for cut, word in reversed(list(zip(LEVEL_CUTS, schema.PRICE_LEVELS, strict=False))):
        level = F.when(score < cut, word).otherwise(level)
    return F.when((F.col("prices") >= MINIMUM_PRICES) & (F.col("unit_price") > 0), level)


def _ln_price() -> Column:
    return F.round(F.ln(F.col("unit_price").cast("double")) * LN_UNITS).cast("bigint")


def _with_day(events: DataFrame) -> DataFrame:
    return events.withColumns(
        {"stamp_product": F.coalesce("product_id", F.lit("")), "stamp_day": F.to_date("event_time")}
    )


def _prices_before(new_events: DataFrame, known_events: DataFrame, products: DataFrame) -> DataFrame:
    """Prices of strictly earlier days, for each product and UTC day of a new event.

    That is the product's mean price, and the count, sum and sum of squares of ln(price) in its top category.
    """
    replaced = known_events.join(new_events.select("event_id"), "event_id", "left_anti")
    daily = _daily_prices(replaced, new_events)
    top = F.split("category", " > ")[0]
    categories = products.select(F.col("product_id").alias("stamp_product"), top.alias("stamp_category"))
    placed = daily.join(categories, "stamp_product", "left").fillna("", ["stamp_category"])
    earlier = _earlier_days("stamp_product")
    mean = F.sum("paid").over(earlier) / F.sum("bought").over(earlier)
    is_product = F.col("stamp_product") != ""
    by_product = placed.select(*DAY, "stamp_category", F.when(is_product, mean).cast(schema.MONEY).alias("mean_price"))
    return by_product.join(_category_prices_before(placed), ["stamp_category", "stamp_day"]).drop("stamp_category")


def _category_prices_before(placed: DataFrame) -> DataFrame:
    keys = ("stamp_category", "stamp_day")
    sums = [F.sum(name).alias(name) for name in ("bought", "ln_sum", "ln_squares")]
    earlier = _earlier_days("stamp_category")
    return placed.groupBy(*keys).agg(*sums).select(
        *keys,
        F.sum("bought").over(earlier).alias("prices"),
        F.sum("ln_sum").over(earlier).alias("ln_sum"),
        F.sum("ln_squares").over(earlier).alias("ln_squares"),
    )  # fmt: skip


def _daily_prices(known_events: DataFrame, new_events: DataFrame) -> DataFrame:
    """Exact sums over the paid purchases of a product on a day; days of new events are there even without any."""
    counts = (F.col("event_type") == "purchase") & (F.col("unit_price") > 0)
    columns = ("product_id", "event_time", "event_type", "unit_price")
    old = known_events.select(*columns).where(counts)
    ln_price = _ln_price().alias("ln_price")
    events = _with_day(old.union(new_events.select(*columns))).select(
        *DAY, "unit_price", counts.alias("counts"), ln_price
    )
    squared = F.col("ln_price").cast("decimal(10,0)") * F.col("ln_price").cast("decimal(10,0)")
    return events.groupBy(*DAY).agg(
        F.count_if("counts").alias("bought"),
        F.sum(F.when(F.col("counts"), F.col("unit_price"))).alias("paid"),
        F.sum(F.when(F.col("counts"), F.col("ln_price"))).alias("ln_sum"),
        F.sum(F.when(F.col("counts"), squared)).alias("ln_squares"),
    )


def _earlier_days(group: str) -> WindowSpec:
    return Window.partitionBy(group).orderBy("stamp_day").rowsBetween(Window.unboundedPreceding, -1)
