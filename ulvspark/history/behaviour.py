"""Behaviour as of a date: one row a user with the last events and the numbers, the same for training and scoring."""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import CODED, HISTORY_TYPE
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.days import local_day, local_midnight
from ulvspark.history.last_events import hashes, histories, last_events, records, sequences, text_keys
from ulvspark.history.numbers import TEN_THOUSANDTHS, numbers
from ulvspark.history.population import KNOT_PROBABILITIES, Population
from ulvspark.history.text import LOOKED_AT
from ulvspark.history.timelines import Timelines, newest_first, whole_users

WORDS = ("title", "category", "brand")


def build(
    events: DataFrame,
    products: DataFrame,
    users: DataFrame,
    as_of: date,
    spec: HistorySpec,
    time_zone: str,
    words: bool = True,
) -> DataFrame:
    """One row for everyone in ``users`` or with an event before ``as_of`` (local midnight in ``time_zone``).

    Columns: user_id, as_of_date DATE, eligible BOOLEAN (a purchase before ``as_of``), history (HISTORY_TYPE),
    history_hash (SHA-256 of what the history holds), then ``spec.numbers`` as DOUBLE, null = unknown. Without an
    event before ``as_of`` history, hash and all numbers are null. Titles, categories and profile are those of today.
    Without ``words`` there is instead of the history all that unit ``event`` reads, a fraction of the bytes: sequence
    (BINARY, ``last_events.RECORD`` by record) and text_keys (ARRAY<BIGINT>, of the events' own texts).

    Events and users are shuffled once, together, and each user's rows brought side by side; arrays then hold a few
    thousand users at a time, and all events of one. The catalogue joins by broadcast where it is small enough.
    """
    seen = events.where(F.col("event_time") < F.lit(local_midnight(as_of, time_zone)))
    done = _events(seen, products, time_zone, words)
    rows = done.unionByName(_users(users, words), allowMissingColumns=True).repartition("user_id")
    # By one whole number, which Spark sorts without comparing rows; arrays sort the rest many times as fast.
    ordered = rows.withColumn("user_hash", F.xxhash64("user_id")).sortWithinPartitions("user_hash")
    numbered = ", ".join(f"{name} DOUBLE" for name in spec.numbers)
    told = f"history {HISTORY_TYPE}" if words else "sequence BINARY, text_keys ARRAY<BIGINT>"
    columns = f"user_id STRING, eligible BOOLEAN, {told}, history_hash STRING, {numbered}"
    built = ordered.mapInArrow(partial(_summaries, as_of=as_of, spec=spec, words=words), columns)
    return built.select("user_id", F.lit(as_of).alias("as_of_date"), *built.columns[1:])


def _events(events: DataFrame, products: DataFrame, time_zone: str, words: bool) -> DataFrame:
    """What ``Timelines`` holds of an event: whole numbers, and the words if they are read."""
    top_category = _id(F.substring_index("category", " > ", 1)).alias("top_category")
    catalogue = products.select("product_id", *WORDS, top_category, product_key().alias("product_key"))
    # Cut, since batches and their 32-bit offsets hold the texts of many users.
    told = (*WORDS, F.substring("text", 1, LOOKED_AT).alias("text")) if words else ()
    return events.join(catalogue, "product_id", "left").select(
        "user_id", F.unix_micros("event_time").alias("event_time"), "event_id",
        local_day("event_time", time_zone).alias("day"),
        *(_code(name, known).alias(name) for name, known in CODED.items()),
        _id(F.col("order_id")).alias("order"),
        _id(F.col("product_id")).alias("product"),
        "top_category",
        *(_ten_thousandths(_double(name)).alias(name) for name in ("quantity", "amount")),
        _ten_thousandths(_double("quantity") * _double("list_price")).alias("list_value"),
        "product_key", text_key().alias("text_key"),
        *told,
    )  # fmt: skip


def _users(users: DataFrame, words: bool) -> DataFrame:
    """What is known of a user beside events."""
    profile = _profile() if words else F.lit(None).cast("string")
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
    """Exact for money below 9e11. Spark multiplies decimals as objects, which takes many times as long."""
    return F.rint(value * TEN_THOUSANDTHS).cast("bigint")


def _double(name: str) -> Column:
    return F.col(name).cast("double")


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
    batches: Iterator[pa.RecordBatch], as_of: date, spec: HistorySpec, words: bool
) -> Iterator[pa.RecordBatch]:
    for rows in whole_users(batches):
        timelines = Timelines.of(newest_first(rows))
        counted = numbers(timelines, spec, as_of)
        read = last_events(timelines, spec.last_events)
        packed = records(read)
        sequence = {"sequence": sequences(packed, read.starts), "text_keys": text_keys(read)}
        yield pa.record_batch(
            {
                "user_id": timelines.users.column("user_id"),
                "eligible": pa.array(counted["orders"] > 0),
                **({"history": histories(read)} if words else sequence),
                "history_hash": hashes(packed, read),
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
