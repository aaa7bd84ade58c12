"""Behaviour as of a date: one row a user with the last events and the numbers, the same for training and scoring."""

from collections.abc import Collection
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import HISTORY_TYPE
from ulvspark.contract.spec import UNITS, HistorySpec, Unit
from ulvspark.history import numbers
from ulvspark.history.days import local_day, local_midnight
from ulvspark.history.population import KNOT_PROBABILITIES, Population

EVENT_COLUMNS = (
    "user_id", "event_id", "event_time", "event_type", "order_id", "product_id", "quantity", "list_price", "amount",
    "text", "price_relation", "price_level",
)  # fmt: skip


WORDS = ("title", "category", "brand")


def build(
    events: DataFrame,
    products: DataFrame,
    users: DataFrame,
    as_of: date,
    spec: HistorySpec,
    time_zone: str,
    units: Collection[Unit] = UNITS,
) -> DataFrame:
    """One row for everyone in ``users`` or with an event before ``as_of`` (local midnight in ``time_zone``).

    Columns: user_id, as_of_date DATE, eligible BOOLEAN (a purchase before ``as_of``), history (HISTORY_TYPE),
    history_hash (SHA-256 of the history's JSON), then ``spec.numbers`` as DOUBLE, null = unknown. Without an event
    before ``as_of`` history, hash and all numbers are null. Titles, categories and profile are those of today. A
    history carries what ``units`` read: words and profile, or keys in their stead.

    Events are shuffled once, by user; the catalogue joins by broadcast where it is small enough.
    """
    seen = _newest_first(_before(events, as_of, time_zone))
    aggregates = [_last_events(spec.last_events, units), *numbers.sums(spec, as_of)]
    known = seen.join(_catalogue(products), "product_id", "left").groupBy("user_id").agg(*aggregates)
    everyone = known.join(users.select("user_id", "signup", "country", "attributes"), "user_id", "full")
    told = everyone.withColumns({"purchase_days": numbers.purchase_days(), "history": _history(units)})
    return told.select(
        "user_id",
        F.lit(as_of).alias("as_of_date"),
        F.coalesce(F.size("purchase_days") > 0, F.lit(False)).alias("eligible"),
        "history",
        F.sha2(F.to_json("history"), 256).alias("history_hash"),
        *numbers.numbers(spec, as_of),
    )


def _before(events: DataFrame, as_of: date, time_zone: str) -> DataFrame:
    """Events before ``as_of`` with their local ``day``."""
    seen = events.where(F.col("event_time") < F.lit(local_midnight(as_of, time_zone)))
    return seen.select(*EVENT_COLUMNS, local_day("event_time", time_zone).alias("day"))


def _newest_first(events: DataFrame) -> DataFrame:
    """Adds ``position`` (0 = the user's newest event) and ``gap_days`` to the event before; both stream over a user."""
    newest_first = Window.partitionBy("user_id").orderBy(F.desc("event_time"), F.desc("event_id"))
    return events.select(
        *(column for column in events.columns if column not in ("event_time", "event_id")),
        (F.row_number().over(newest_first) - 1).alias("position"),
        (F.col("day") - F.lead("day").over(newest_first)).alias("gap_days"),
    )


def _catalogue(products: DataFrame) -> DataFrame:
    return products.select("product_id", *WORDS, product_key().alias("product_key"))


def product_key() -> Column:
    """Of a row of ``products``: the key of its words in ``text_vectors``; null where it has none."""
    words = F.when(F.coalesce(*WORDS).isNotNull(), F.to_json(F.struct(*WORDS)))
    return _key(words)


def text_key() -> Column:
    """Of a row of ``events``: the key of its own text; null where it has none."""
    return _key(F.col("text"))


def _key(words: Column) -> Column:
    """60 bits of SHA-256, never 0: enough that two of ten million texts share a key once in 20,000 catalogues."""
    return F.conv(F.substring(F.sha2(words, 256), 1, 15), 16, 10).cast("bigint") + 1


def _last_events(count: int, units: Collection[Unit]) -> Column:
    words = {name: F.col(name) for name in (*WORDS, "text")}
    keys = {"product_key": F.col("product_key"), "text_key": text_key()}
    carried = (words if "history" in units else {}) | (keys if "event" in units else {})
    nothing = {name: F.lit(None) for name in (*words, *keys)}
    event = F.struct(
        "position", "event_type", "order_id", "gap_days", F.col("quantity").cast("double").alias("quantity"),
        "price_relation", "price_level", *(column.alias(name) for name, column in (nothing | carried).items()),
    )  # fmt: skip
    return F.sort_array(F.collect_list(F.when(F.col("position") < count, event))).alias("last_events")


def _history(units: Collection[Unit]) -> Column:
    profile = _profile() if "history" in units else F.lit(None)
    history = F.struct(profile.alias("profile"), _told_events().alias("events")).cast(HISTORY_TYPE)
    return F.when(F.col("last_events").isNotNull(), history)


def _told_events() -> Column:
    """The last events without position, their orders numbered among the history's orders, newest first."""
    orders = F.array_distinct(F.filter(F.transform("last_events", lambda event: event["order_id"]), F.isnotnull))

    def told(event: Column, orders: Column) -> Column:
        ordinal = (F.array_position(orders, event["order_id"]) - 1).cast("string")
        return event.withField("order_id", ordinal).dropFields("position")

    # The outer transform binds the orders to a name: written inside the inner one they are computed for each event.
    return F.transform(F.array(orders), lambda named: F.transform("last_events", lambda event: told(event, named)))[0]


def _profile() -> Column:
    """Country and free attributes without nulls, sorted by name, so that equal profiles have equal JSON."""
    attributes = F.coalesce(F.map_entries("attributes"), F.array())
    free = F.filter(attributes, lambda entry: entry["value"].isNotNull() & (entry["key"] != "country"))
    country = F.array(F.struct(F.lit("country").alias("key"), F.col("country").alias("value")))
    return F.map_from_entries(F.sort_array(F.when(F.col("country").isNull(), free).otherwise(F.concat(free, country))))


def measure_population(behaviour: DataFrame, spec: HistorySpec) -> Population:
    """Measure the platform over the users with a history, exactly, in one job.

    platform_scale = the median of order_value over users with positive net spend. Knots = the quantiles of each
    money number at ``KNOT_PROBABILITIES``, linear between neighbours. Raises ExpectedError when nobody has
    positive net spend.
    """
    probabilities = list(KNOT_PROBABILITIES)
    knots = [F.percentile(F.col(name), probabilities).alias(name) for name in spec.money_numbers]
    measured = behaviour.agg(
        F.min("as_of_date").alias("as_of"),
        F.count("history_hash").alias("users"),
        F.percentile(F.when(F.col("net_spend") > 0, F.col("order_value")), 0.5).alias("scale"),
        *knots,
    )
    [row] = measured.collect()
    if row["scale"] is None:
        raise ExpectedError(
            f"none of the {row['users']} users with events before {row['as_of']} has positive net spend, so there is "
            "no platform scale; check that purchases were loaded and that the date is not too early"
        )
    return Population.measured(
        row["as_of"], row["users"], row["scale"], {name: row[name] for name in spec.money_numbers}
    )
