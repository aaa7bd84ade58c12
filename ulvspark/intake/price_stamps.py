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

DAY = schema.PRICE_DAYS.key

SUM_TYPES = {column.name: column.type for column in schema.PRICE_DAYS.columns if column.name not in DAY}


def changed_events(events: DataFrame, known: DataFrame) -> DataFrame:
    """The mapped ``events`` that are not among the ``known`` ones, or have other content there."""
    same = known.select("event_id", "content_hash")
    return events.join(same, ["event_id", "content_hash"], "left_anti")


def stamp(
    new_events: DataFrame, new_sums: DataFrame, known: DataFrame | None, price_days: DataFrame, products: DataFrame
) -> DataFrame:
    """``new_events`` in the columns of ``schema.EVENTS``.

    ``new_sums`` are their ``price_sums``, which are used three times: let them be cached. ``known`` are the rows of the
    events table with the ids of new events (None: there are none); ``price_days`` are the sums of all prices in that
    table (``schema.PRICE_DAYS``).

    An event that is known keeps its stamps (``schema.STAMPED``) unless its product or price changed. Every other event
    gets a reference price (the list price, or the mean price paid for the product on earlier days), the relation of the
    unit price to it, and the level of the unit price within the product's top category (products without a category
    count as one category).
    """
    before = _prices_before(new_sums, known, price_days, products)
    # The events are spread by product and day; hashing the few sums of each saves sorting the events.
    keyed = before.withColumnsRenamed({"product_id": "stamp_product", "day": "stamp_day"}).hint("shuffle_hash")
    of_day = (_product() == F.col("stamp_product")) & (_day() == F.col("stamp_day"))
    priced = new_events.join(keyed, of_day, "left")
    fresh = priced.withColumn("reference_price", _reference_price()).select(
        *new_events.columns,
        "reference_price",
        _price_relation().alias("price_relation"),
        _price_level().alias("price_level"),
    )
    return _keep_known_stamps(fresh, known) if known is not None else fresh.select(*schema.EVENTS.names)


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


def _product() -> Column:
    return F.coalesce("product_id", F.lit(""))


def _day() -> Column:
    return F.to_date("event_time")


def price_sums(events: DataFrame, weight: Column) -> DataFrame:
    """Exact sums over the paid purchases of each product and UTC day of ``events``, as rows of ``schema.PRICE_DAYS``.

    Each event counts ``weight`` times: 1, or -1 to take it out of other sums. Days of other events are there with 0.
    """
    paid = (F.col("event_type") == "purchase") & (F.col("unit_price") > 0)
    ln_price = F.col("ln_price").cast("decimal(10,0)")
    counted = F.when(paid, weight).otherwise(0).cast("bigint")
    weighted = events.select(
        _product().alias("product_id"),
        _day().alias("day"),
        "unit_price",
        counted.alias("bought"),
        _ln_price().alias("ln_price"),
    )
    sums = {
        "bought": F.sum("bought"),
        "paid": F.sum(F.when(F.col("bought") != 0, F.col("unit_price") * F.col("bought").cast("decimal(1,0)"))),
        "ln_sum": F.sum(F.when(F.col("bought") != 0, F.col("ln_price") * F.col("bought"))),
        "ln_squares": F.sum(F.when(F.col("bought") != 0, ln_price * ln_price * F.col("bought").cast("decimal(1,0)"))),
    }
    return weighted.groupBy(*DAY).agg(*(_sum_as_stored(name, total) for name, total in sums.items()))


def _sum_as_stored(name: str, total: Column) -> Column:
    return F.coalesce(total, F.lit(0)).cast(SUM_TYPES[name]).alias(name)


def _prices_before(own: DataFrame, known: DataFrame | None, price_days: DataFrame, products: DataFrame) -> DataFrame:
    """Prices of strictly earlier days, for each product and UTC day of new events, whose ``price_sums`` are ``own``.

    That is the product's mean price, and the count, sum and sum of squares of ln(price) in its top category.
    """
    others = price_days if known is None else price_days.unionByName(price_sums(known, F.lit(-1)))
    days = own.select(*DAY)
    of_products = own.unionByName(others.join(days.select("product_id").distinct(), "product_id", "left_semi"))
    mean = F.sum("paid").over(_earlier_days("product_id")) / F.sum("bought").over(_earlier_days("product_id"))
    is_product = F.col("product_id") != ""
    means = _sum_by(of_products, *DAY).select(*DAY, F.when(is_product, mean).cast(schema.MONEY).alias("mean_price"))
    top = F.coalesce(F.split("category", " > ")[0], F.lit(""))
    categories = products.select("product_id", top.alias("top_category"))
    placed_days = _placed(days, categories).join(means, list(DAY))
    by_category = _category_prices_before(_placed(own.unionByName(others), categories))
    return placed_days.join(by_category, ["top_category", "day"]).drop("top_category")


def _placed(rows: DataFrame, categories: DataFrame) -> DataFrame:
    return rows.join(categories, "product_id", "left").fillna("", ["top_category"])


def _category_prices_before(placed: DataFrame) -> DataFrame:
    earlier = _earlier_days("top_category")
    sums = _sum_by(placed, "top_category", "day")
    return sums.select(
        "top_category",
        "day",
        F.sum("bought").over(earlier).alias("prices"),
        F.sum("ln_sum").over(earlier).alias("ln_sum"),
        F.sum("ln_squares").over(earlier).alias("ln_squares"),
    )


def _sum_by(rows: DataFrame, *keys: str) -> DataFrame:
    return rows.groupBy(*keys).agg(*(F.sum(name).cast(kind).alias(name) for name, kind in SUM_TYPES.items()))


def _earlier_days(group: str) -> WindowSpec:
    return Window.partitionBy(group).orderBy("day").rowsBetween(Window.unboundedPreceding, -1)
