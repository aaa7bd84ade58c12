"""Behaviour as of a date: one row a user with the last events and the numbers, the same for training and scoring."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from functools import partial

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import CODED, HISTORY_TYPE
from ulvspark.contract.spec import UNITS, HistorySpec, Unit
from ulvspark.history.days import local_day, local_midnight
from ulvspark.history.last_events import hashes, histories, last_events
from ulvspark.history.numbers import TEN_THOUSANDTHS, numbers
from ulvspark.history.population import KNOT_PROBABILITIES, Population
from ulvspark.history.timelines import Timelines, whole_users

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
    history_hash (SHA-256 of what the history holds), then ``spec.numbers`` as DOUBLE, null = unknown. Without an
    event before ``as_of`` history, hash and all numbers are null. Titles, categories and profile are those of today.
    A history carries the keys of its texts and, where ``units`` read them, the words and the profile.

    Events and users are shuffled once, together, and sorted; arrays then hold a few thousand users at a time, and all
    events of one. The catalogue joins by broadcast where it is small enough.
    """
    seen = events.where(F.col("event_time") < F.lit(local_midnight(as_of, time_zone)))
    done = _events(seen, products, time_zone, units)
    rows = done.unionByName(_users(users, units), allowMissingColumns=True).repartition("user_id")
    # By hash first: a sort compares the first eight bytes, in which ids are often all the same.
    newest_first = F.desc_nulls_first("event_time"), F.desc("event_id")
    ordered = rows.sortWithinPartitions(F.xxhash64("user_id"), "user_id", *newest_first).drop("event_time", "event_id")
    numbered = ", ".join(f"{name} DOUBLE" for name in spec.numbers)
    columns = f"user_id STRING, eligible BOOLEAN, history {HISTORY_TYPE}, history_hash STRING, {numbered}"
    built = ordered.mapInArrow(partial(_summaries, as_of=as_of, spec=spec, units=tuple(units)), columns)
    return built.select("user_id", F.lit(as_of).alias("as_of_date"), *built.columns[1:])


def _events(events: DataFrame, products: DataFrame, time_zone: str, units: Collection[Unit]) -> DataFrame:
    """What ``Timelines`` holds of an event: whole numbers, and the words if they are read."""
    catalogue = products.select("product_id", *WORDS, product_key().alias("product_key"))
    words = (*WORDS, "text") if "history" in units else ()
    return events.join(catalogue, "product_id", "left").select(
        "user_id", "event_time", "event_id",
        local_day("event_time", time_zone).alias("day"),
        *(_code(name, known).alias(name) for name, known in CODED.items()),
        _id(F.col("order_id")).alias("order"),
        _id(F.col("product_id")).alias("product"),
        _id(F.substring_index("category", " > ", 1)).alias("top_category"),
        *(_ten_thousandths(F.col(name)).alias(name) for name in ("quantity", "amount")),
        _ten_thousandths(F.expr("CAST(quantity * list_price AS DECIMAL(18, 4))")).alias("list_value"),
        "product_key", text_key().alias("text_key"),
        *words,
    )  # fmt: skip


def _users(users: DataFrame, units: Collection[Unit]) -> DataFrame:
    """What is known of a user beside events."""
    profile = _profile() if "history" in units else F.lit(None).cast("string")
    return users.select(
        "user_id", F.unix_date("signup").alias("signup"), profile.alias("profile"), _key(profile).alias("profile_key")
    )


def _profile() -> Column:
    """JSON of the country and free attributes without nulls, sorted by name; null where there are none."""
    attributes = F.coalesce(F.map_entries("attributes"), F.array())
    free = F.filter(attributes, lambda entry: entry["value"].isNotNull() & (entry["key"] != "country"))
    country = F.array(F.struct(F.lit("country").alias("key"), F.col("country").alias("value")))
    known = F.sort_array(F.when(F.col("country").isNull(), free).otherwise(F.concat(free, country)))
    return F.when(F.size(known) > 0, F.to_json(F.map_from_entries(known)))


def _code(name: str, words: Sequence[str]) -> Column:
    """The place of a value among ``words``; null where it is none of them."""
    places = [F.when(F.col(name) == word, F.lit(place)) for place, word in enumerate(words)]
    return F.coalesce(*places).cast("tinyint")


def _id(value: Column) -> Column:
    """A number to tell a user's ids apart: of a million ids two share one of 64 bits once in 37 million times."""
    return F.when(value.isNotNull(), F.xxhash64(value))


def _ten_thousandths(value: Column) -> Column:
    return (value * TEN_THOUSANDTHS).cast("bigint")


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


def _summaries(
    batches: Iterator[pa.RecordBatch], as_of: date, spec: HistorySpec, units: Collection[Unit]
) -> Iterator[pa.RecordBatch]:
    for rows in whole_users(batches):
        timelines = Timelines.of(rows)
        counted = numbers(timelines, spec, as_of)
        read = last_events(timelines, spec.last_events)
        yield pa.record_batch(
            {
                "user_id": timelines.users.column("user_id"),
                "eligible": pa.array(counted["orders"] > 0),
                "history": histories(read),
                "history_hash": hashes(read),
                **{name: pa.array(values, from_pandas=True) for name, values in counted.items()},
            }
        )


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
