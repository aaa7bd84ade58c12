"""Behaviour as of a date, in Spark: one row a user with numbers and recent events, for training and scoring alike.

This is only the frame around ``summaries``: it brings the rows of each user together and hands them over as Arrow.
"""

from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from itertools import chain

import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import HISTORY_TYPE, TIMELINES
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.days import local_midnight
from ulvspark.history.packing import pack, parts
from ulvspark.history.population import QUANTILE_PROBABILITIES, Population
from ulvspark.history.rows import WORDS, catalogue, event_rows, profile_columns, side_by_side, user_rows
from ulvspark.history.summaries import ROWS, Catalogue, summarise_rows, summarise_timelines
from ulvspark.history.text import INSPECTED_CHARACTERS
from ulvspark.history.timelines import Timelines, newest_first, whole_users

POPULATION_SAMPLE = 250_000
"""Users on whom a larger platform is measured, since quantiles are taken in one task: the share of users below one is
then off by .001 (a standard deviation) or less."""

HASH_VALUES = 2**32
"""Into as many values ``hash_sample`` hashes users: the steps in which a share of them can be chosen."""

Batches = Iterable[pa.RecordBatch]


def build(
    events: DataFrame, products: DataFrame, users: DataFrame, as_of: date, spec: HistorySpec, time_zone: str
) -> DataFrame:
    """One row for everyone in ``users`` or with an event before ``as_of`` (local midnight in ``time_zone``).

    Columns: user_id, as_of_date DATE, eligible BOOLEAN (a purchase before ``as_of``), exact BOOLEAN (whether sums of
    money and quantities fit), history (HISTORY_TYPE), history_hash (SHA-256 of what the history holds), then
    ``spec.numbers`` as DOUBLE, null = unknown. Without an event before ``as_of``, and of a user who is not exact and
    therefore not eligible, history, hash and all numbers are null. Titles, categories and profile are those of today.

    Events and users are shuffled once, together, so that each user's rows are side by side; arrays then hold a few
    thousand users at a time, each with all events. The catalogue joins by broadcast where it is small enough.
    """
    seen = events.where(F.col("event_time") < F.lit(local_midnight(as_of, time_zone)))
    # Texts are cut, since a batch, with offsets of 32 bits, holds those of many users.
    words = (*WORDS, F.substring("text", 1, INSPECTED_CHARACTERS).alias("text"))
    known = catalogue(products).select("product_id", "product_key", "top_category", *WORDS)
    done = event_rows(seen.join(known, "product_id", "left"), time_zone, "product_key", "top_category", *words)
    rows = side_by_side(done, user_rows(users, *profile_columns())).select(*ROWS.names)
    return _summarised(rows, partial(_from_rows, as_of=as_of, spec=spec), as_of, spec, f"history {HISTORY_TYPE}")


def timelines(events: DataFrame, users: DataFrame, time_zone: str) -> DataFrame:
    """Rows of ``schema.TIMELINES``: everyone in ``users`` or with an event. Shuffled once, as by ``build``."""
    rows = side_by_side(event_rows(events, time_zone), user_rows(users))
    return rows.mapInArrow(_pack, TIMELINES.ddl)


def build_from_timelines(timelines: DataFrame, products: DataFrame, as_of: date, spec: HistorySpec) -> DataFrame:
    """What ``build`` gives, from events and users that ``timelines`` packed; nothing is shuffled.

    Instead of the history there is what unit ``event`` reads, a fraction of the bytes: sequence (BINARY,
    ``recent_events.RECORD`` by record) and text_keys (ARRAY<BIGINT>, of the events' own texts).
    """
    looked_up = catalogue(products).select("product", "product_key", "top_category").toArrow()
    known = products.sparkSession.sparkContext.broadcast(Catalogue.from_table(looked_up))
    summarise = partial(_from_timelines, catalogue=known, as_of=as_of, spec=spec)
    return _summarised(timelines, summarise, as_of, spec, "sequence BINARY, text_keys ARRAY<BIGINT>")


def _summarised(
    frame: DataFrame, summarise: Callable[[Batches], Batches], as_of: date, spec: HistorySpec, recent_events: str
) -> DataFrame:
    numbers = ", ".join(f"{name} DOUBLE" for name in spec.numbers)
    columns = f"user_id STRING, eligible BOOLEAN, exact BOOLEAN, {recent_events}, history_hash STRING, {numbers}"
    built = frame.mapInArrow(summarise, columns)
    return built.select("user_id", F.lit(as_of).alias("as_of_date"), *built.columns[1:])


def _from_rows(batches: Batches, as_of: date, spec: HistorySpec) -> Batches:
    for rows in whole_users(batches):
        yield summarise_rows(rows, as_of, spec)


def _from_timelines(batches: Batches, catalogue: Broadcast[Catalogue], as_of: date, spec: HistorySpec) -> Batches:
    for rows in chain.from_iterable(map(parts, batches)):
        yield summarise_timelines(rows, catalogue.value, as_of, spec)


def _pack(batches: Batches) -> Batches:
    for rows in whole_users(batches):
        yield pack(Timelines.from_rows(newest_first(rows)))


def measure_population(behaviour: DataFrame, spec: HistorySpec) -> Population:
    """Measure the platform on its users with events, or on about ``POPULATION_SAMPLE`` of them.

    platform_scale is the median of order_value over users with positive net spend. The quantiles of each money number
    at ``QUANTILE_PROBABILITIES`` are linear between neighbours, and exact for the users who are looked at. Raises
    ExpectedError when nobody has positive net spend.
    """
    [(as_of, users)] = behaviour.agg(F.min("as_of_date"), F.count("history_hash")).collect()
    probabilities = list(QUANTILE_PROBABILITIES)
    quantiles = [F.percentile(F.col(name), probabilities).alias(name) for name in spec.money_numbers]
    spends = F.when(F.col("net_spend") > 0, F.col("order_value"))
    sample = hash_sample(behaviour, users, POPULATION_SAMPLE)
    [row] = sample.agg(F.percentile(spends, 0.5).alias("scale"), *quantiles).collect()
    if row["scale"] is None:
        raise ExpectedError(
            f"none of the {users} users with events before {as_of} has positive net spend, so there is "
            "no platform scale; check that purchases were loaded and that the date is not too early"
        )
    return Population.measured(as_of, users, row["scale"], {name: row[name] for name in spec.money_numbers})


def hash_sample(frame: DataFrame, users: int, limit: int) -> DataFrame:
    """Rows of about ``limit`` of ``users`` users, chosen by a hash of ``user_id``; all rows where there are no more.

    The same users wherever the rows are, and nearly the same as the platform grows.
    """
    share = limit / max(users, limit)
    return frame.where(F.pmod(F.xxhash64("user_id"), F.lit(HASH_VALUES)) < int(HASH_VALUES * share))
