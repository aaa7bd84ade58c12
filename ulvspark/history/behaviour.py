"""Behaviour as of a date: one row a user with the last events and the numbers, the same for training and scoring."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import Broadcast
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import CODED, HISTORY_TYPE, TIMELINES
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.catalogue import Catalogue
from ulvspark.history.days import local_day, local_midnight
from ulvspark.history.numbers import TEN_THOUSANDTHS, numbers
from ulvspark.history.packing import pack, parts, unpack
from ulvspark.history.population import KNOT_PROBABILITIES, Population
from ulvspark.history.recent_events import hashes, histories, last_events, records, sequences, text_keys
from ulvspark.history.text import LOOKED_AT
from ulvspark.history.timelines import Timelines, day_number, newest_first, whole_users

WORDS = ("title", "category", "brand")

MEASURED = 250_000
"""Users who stand for a larger platform, since quantiles are taken in one task: the share of users below one is then
off by .001 (a standard deviation) or less."""

SHARES = 2**32
"""Steps in which a share of the users is chosen."""

Batches = Iterable[pa.RecordBatch]
Summaries = Callable[[Batches], Batches]


def build(
    events: DataFrame, products: DataFrame, users: DataFrame, as_of: date, spec: HistorySpec, time_zone: str
) -> DataFrame:
    """One row for everyone in ``users`` or with an event before ``as_of`` (local midnight in ``time_zone``).

    Columns: user_id, as_of_date DATE, eligible BOOLEAN (a purchase before ``as_of``), history (HISTORY_TYPE),
    history_hash (SHA-256 of what the history holds), then ``spec.numbers`` as DOUBLE, null = unknown. Without an
    event before ``as_of`` history, hash and all numbers are null. Titles, categories and profile are those of today.

    Events and users are shuffled once, together, and each user's rows brought side by side; arrays then hold a few
    thousand users at a time, and all events of one. The catalogue joins by broadcast where it is small enough.
    """
    seen = events.where(F.col("event_time") < F.lit(local_midnight(as_of, time_zone)))
    # Cut, since batches and their 32-bit offsets hold the texts of many users.
    words = (*WORDS, F.substring("text", 1, LOOKED_AT).alias("text"))
    known = catalogue(products).select("product_id", "product_key", "top_category", *WORDS)
    done = _events(seen.join(known, "product_id", "left"), time_zone, "product_key", "top_category", *words)
    rows = _side_by_side(done, _users(users, _profile().alias("profile"), _key(_profile()).alias("profile_key")))
    return _rows(rows, partial(_of_rows, as_of=as_of, spec=spec), as_of, spec, f"history {HISTORY_TYPE}")


def timelines(events: DataFrame, users: DataFrame, time_zone: str) -> DataFrame:
    """Rows of ``schema.TIMELINES``: everyone in ``users`` or with an event. Shuffled once, as by ``build``."""
    rows = _side_by_side(_events(events, time_zone), _users(users))
    return rows.mapInArrow(_packed, TIMELINES.ddl)


def build_from_timelines(timelines: DataFrame, products: DataFrame, as_of: date, spec: HistorySpec) -> DataFrame:
    """What ``build`` gives, of events and users that were packed by ``timelines``, and shuffles nothing.

    Instead of the history there is all that unit ``event`` reads of it, a fraction of the bytes: sequence (BINARY,
    ``last_events.RECORD`` by record) and text_keys (ARRAY<BIGINT>, of the events' own texts).
    """
    looked_up = catalogue(products).select("product", "product_key", "top_category").toArrow()
    known = products.sparkSession.sparkContext.broadcast(Catalogue.of(looked_up))
    unpacked = partial(_of_timelines, known=known, as_of=as_of, spec=spec)
    return _rows(timelines, unpacked, as_of, spec, "sequence BINARY, text_keys ARRAY<BIGINT>")


def catalogue(products: DataFrame) -> DataFrame:
    """``products``, with the numbers that stand for them."""
    top_category = _id(F.substring_index("category", " > ", 1))
    numbers = {"product": _id(F.col("product_id")), "product_key": product_key(), "top_category": top_category}
    return products.withColumns(numbers)


def _rows(frame: DataFrame, summaries: Summaries, as_of: date, spec: HistorySpec, told: str) -> DataFrame:
    numbered = ", ".join(f"{name} DOUBLE" for name in spec.numbers)
    columns = f"user_id STRING, eligible BOOLEAN, {told}, history_hash STRING, {numbered}"
    built = frame.mapInArrow(summaries, columns)
    return built.select("user_id", F.lit(as_of).alias("as_of_date"), *built.columns[1:])


def _side_by_side(events: DataFrame, users: DataFrame) -> DataFrame:
    rows = events.unionByName(users, allowMissingColumns=True).repartition("user_id")
    # By one whole number, which Spark sorts without comparing rows; arrays sort the rest many times as fast.
    return rows.withColumn("user_hash", F.xxhash64("user_id")).sortWithinPartitions("user_hash")


def _events(events: DataFrame, time_zone: str, *more: Column | str) -> DataFrame:
    """What ``Timelines`` holds of an event: whole numbers."""
    return events.select(
        "user_id", F.unix_micros("event_time").alias("event_time"), "event_id",
        local_day("event_time", time_zone).alias("day"),
        *(_code(name, known).alias(name) for name, known in CODED.items()),
        _id(F.col("order_id")).alias("order"),
        _id(F.col("product_id")).alias("product"),
        *(_ten_thousandths(_double(name)).alias(name) for name in ("quantity", "amount")),
        _ten_thousandths(_double("quantity") * _double("list_price")).alias("list_value"),
        text_key().alias("text_key"),
        *more,
    )  # fmt: skip


def _users(users: DataFrame, *more: Column) -> DataFrame:
    """What is known of a user beside events."""
    return users.select("user_id", F.lit(True).alias("known"), F.unix_date("signup").alias("signup"), *more)


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


def _of_rows(batches: Batches, as_of: date, spec: HistorySpec) -> Batches:
    for rows in whole_users(batches):
        lived = Timelines.of(newest_first(rows))
        read = last_events(lived, spec.last_events)
        told = {"history": histories(read), "history_hash": hashes(records(read), read)}
        yield _summary(lived, told, as_of, spec)


def _packed(batches: Batches) -> Batches:
    for rows in whole_users(batches):
        yield pack(Timelines.of(newest_first(rows)))


def _of_timelines(batches: Batches, known: Broadcast[Catalogue], as_of: date, spec: HistorySpec) -> Batches:
    for rows in chain.from_iterable(map(parts, batches)):
        lived = unpack(rows).before(day_number(as_of))
        lived = replace(lived, events=lived.events | known.value.look_up(lived.events["product"]))
        read = last_events(lived, spec.last_events)
        packed = records(read)
        told = {"sequence": sequences(packed, read.starts), "text_keys": text_keys(read)}
        summary = _summary(lived, told | {"history_hash": hashes(packed, read)}, as_of, spec)
        # Who is only known from the future has no row.
        yield summary.filter(pc.or_(lived.users.column("known"), summary.column("history_hash").is_valid()))


def _summary(lived: Timelines, told: Mapping[str, pa.Array], as_of: date, spec: HistorySpec) -> pa.RecordBatch:
    counted = numbers(lived, spec, as_of)
    user = {"user_id": lived.users.column("user_id"), "eligible": pa.array(counted["orders"] > 0)}
    columns = {name: pa.array(values, from_pandas=True) for name, values in counted.items()}
    return pa.record_batch({**user, **told, **columns})


def measure_population(behaviour: DataFrame, spec: HistorySpec) -> Population:
    """Measure the platform over the users with a history, or some ``MEASURED`` of them, nearly the same each night.

    platform_scale = the median of order_value over users with positive net spend. Knots = the quantiles of each
    money number at ``KNOT_PROBABILITIES``, linear between neighbours, exact of those who are looked at. Raises
    ExpectedError when nobody has positive net spend.
    """
    [(as_of, users)] = behaviour.agg(F.min("as_of_date"), F.count("history_hash")).collect()
    probabilities = list(KNOT_PROBABILITIES)
    knots = [F.percentile(F.col(name), probabilities).alias(name) for name in spec.money_numbers]
    spends = F.when(F.col("net_spend") > 0, F.col("order_value"))
    [row] = _some(behaviour, users).agg(F.percentile(spends, 0.5).alias("scale"), *knots).collect()
    if row["scale"] is None:
        raise ExpectedError(
            f"none of the {users} users with events before {as_of} has positive net spend, so there is "
            "no platform scale; check that purchases were loaded and that the date is not too early"
        )
    return Population.measured(as_of, users, row["scale"], {name: row[name] for name in spec.money_numbers})


def _some(behaviour: DataFrame, users: int) -> DataFrame:
    """About ``MEASURED`` of so many users. A few users more or less change who is chosen by as few."""
    share = MEASURED / max(users, MEASURED)
    return behaviour.where(F.pmod(F.xxhash64("user_id"), F.lit(SHARES)) < int(SHARES * share))
