"""What makes two rows the same: canonical ids, content hashes, and one row per key."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, FloatType

from ulvspark.history.quarantine import CONTRADICTING_DUPLICATE, IDENTICAL_COPY, SUPERSEDED

WHOLE_NUMBER = r"^(-?\d+)\.0+$"


def canonical_id(value: Column, kind: DataType) -> Column:
    """An id as a string in its one form: trimmed, ``12345.0`` as ``12345``, nothing at all as null."""
    text = value.cast("string")
    if isinstance(kind, DoubleType | FloatType):
        # A double prints as 1.2345678E7 from ten million on; whole numbers go through an integer.
        text = F.when(value == F.floor(value), value.cast("bigint").cast("string")).when(~F.isnan(value), text)
    return F.nullif(F.regexp_replace(F.trim(text), WHOLE_NUMBER, "$1"), F.lit(""))


def content_hash(frame: DataFrame, columns: Sequence[str]) -> Column:
    """SHA-256 of the named columns as JSON. Equal content gives equal hashes, whatever the file order."""
    return F.sha2(F.to_json(F.struct(*(_hashable(frame, column) for column in columns))), 256)


def _hashable(frame: DataFrame, column: str) -> Column:
    # JSON keeps milliseconds only.
    is_instant = frame.schema[column].dataType.typeName() == "timestamp"
    return F.unix_micros(column).alias(column) if is_instant else F.col(column)


def mark_superseded(frame: DataFrame, key: str) -> DataFrame:
    """Of the good rows (null ``outcome``) of a key, keep the one with the largest ``latest``; ties go by content."""
    newest_first = (F.col("latest").desc_nulls_last(), F.col("content_hash").desc())
    rank = F.row_number().over(_same_key(key).orderBy(*newest_first))
    # Rows without a key of their own are not versions of each other.
    older = F.col(key).isNotNull() & F.col("outcome").isNull() & (rank > 1)
    return frame.withColumn("outcome", F.when(older, SUPERSEDED).otherwise(F.col("outcome")))


def settle_identity(frame: DataFrame, key: str) -> DataFrame:
    """Give each good row (null ``outcome``) its one key.

    Rows that share the source's key are one row where their content agrees (the copies' outcome is
    ``IDENTICAL_COPY``) and all ``CONTRADICTING_DUPLICATE`` where it does not. A row without a key gets a hash of its
    content and its occurrence number: since rows with one hash are equal, the numbers do not depend on file order.
    """
    by_content = _same_key(key).orderBy("content_hash")
    occurrence = F.row_number().over(by_content)
    all_of_key = by_content.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    contradicts = F.first("content_hash").over(all_of_key) != F.last("content_hash").over(all_of_key)
    settled = frame.select("*", contradicts.alias("contradicts"), occurrence.alias("occurrence"))
    own = F.col(key).isNotNull() & F.col("outcome").isNull()
    outcome = (
        F.when(own & F.col("contradicts"), CONTRADICTING_DUPLICATE)
        .when(own & (F.col("occurrence") > 1), IDENTICAL_COPY)
        .otherwise(F.col("outcome"))
    )
    made = F.sha2(F.concat_ws("#", "content_hash", "occurrence"), 256)
    return settled.withColumns({"outcome": outcome, key: F.coalesce(key, made)}).drop("contradicts", "occurrence")


def _same_key(key: str) -> WindowSpec:
    """Good rows are compared with good rows only, so ``outcome`` (null for them) is part of the key."""
    return Window.partitionBy(F.coalesce(key, "content_hash"), "outcome")
