"""Spark columns that put events, users and products into the form of ``summaries.ROWS``, and the keys of texts."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.schema import CODED
from ulvspark.history.days import local_day
from ulvspark.history.numbers import TEN_THOUSANDTHS

WORDS = ("title", "category", "brand")
"""Columns of a product that are put into words."""


def side_by_side(events: DataFrame, users: DataFrame) -> DataFrame:
    """``event_rows`` and ``user_rows`` in one frame, where rows of one ``user_hash`` follow each other."""
    rows = events.unionByName(users, allowMissingColumns=True).repartition("user_id")
    # Spark sorts one whole number without comparing rows; the rest is sorted in arrays, many times as fast.
    return rows.withColumn("user_hash", F.xxhash64("user_id")).sortWithinPartitions("user_hash")


def event_rows(events: DataFrame, time_zone: str, *more: Column | str) -> DataFrame:
    """The events as ``summaries.ROWS`` holds them."""
    return events.select(
        "user_id", F.unix_micros("event_time").alias("event_time"), "event_id",
        local_day("event_time", time_zone).alias("day"),
        *(_code(name, words).alias(name) for name, words in CODED.items()),
        _id(F.col("order_id")).alias("order"),
        _id(F.col("product_id")).alias("product"),
        *(_ten_thousandths(_double(name)).alias(name) for name in ("quantity", "amount")),
        _ten_thousandths(_double("quantity") * _double("list_price")).alias("list_value"),
        text_key().alias("text_key"),
        *more,
    )  # fmt: skip


def user_rows(users: DataFrame, *more: Column) -> DataFrame:
    """The users as ``summaries.ROWS`` holds them."""
    return users.select("user_id", F.lit(True).alias("known"), F.unix_date("signup").alias("signup"), *more)


def profile_columns() -> tuple[Column, Column]:
    """Of a row of ``users``: what it says of the user, as JSON, and the key of that."""
    return _profile().alias("profile"), _key(_profile()).alias("profile_key")


def _profile() -> Column:
    """JSON of the country and free attributes without nulls, sorted by name; null where there are none."""
    attributes = F.coalesce(F.map_entries("attributes"), F.array())
    free = F.filter(attributes, lambda entry: entry["value"].isNotNull() & (entry["key"] != "country"))
    country = F.array(F.struct(F.lit("country").alias("key"), F.col("country").alias("value")))
    known = F.sort_array(F.when(F.col("country").isNull(), free).otherwise(F.concat(free, country)))
    return F.when(F.size(known) > 0, F.to_json(F.map_from_entries(known)))


def catalogue(products: DataFrame) -> DataFrame:
    """``products`` with three numbers that arrays hold: product (of its id), product_key and top_category."""
    top_category = _id(F.substring_index("category", " > ", 1))
    numbers = {"product": _id(F.col("product_id")), "product_key": product_key(), "top_category": top_category}
    return products.withColumns(numbers)


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


def _code(name: str, words: Sequence[str]) -> Column:
    """The place of a value among ``words``; null where it is none of them."""
    places = [F.when(F.col(name) == word, F.lit(place)) for place, word in enumerate(words)]
    return F.coalesce(*places).cast("tinyint")


def _id(value: Column) -> Column:
    """A number to tell ids apart: two of a million ids share one of 64 bits once in 37 million times."""
    return F.when(value.isNotNull(), F.xxhash64(value))


def _ten_thousandths(value: Column) -> Column:
    """Exact for money below 9e11. Spark multiplies decimals as objects, which takes many times as long."""
    return F.rint(value * TEN_THOUSANDTHS).cast("bigint")


def _double(name: str) -> Column:
    return F.col(name).cast("double")
