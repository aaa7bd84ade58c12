"""What makes two rows the same: canonical ids, content hashes, and one row per key."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, FloatType

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source import SourceConfig
from ulvspark.intake.quarantine import CONTRADICTING_DUPLICATE, IDENTICAL_COPY, SUPERSEDED

MADE_OF = "ulvspark.event_ids_of."
"""Begins the name of a property of ``events``: by which mappings a source table's event ids were made."""

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


def made_ids(source: SourceConfig, before: Mapping[str, str]) -> dict[str, str]:
    """Properties for ``events``, which has ``before``: of what ids are made where a source table gives none.

    Raises ExpectedError where that changed since: all events of the table would be there once more, with other ids.
    """
    made = {}
    for table in sorted({mapping.read.name for mapping in source.events}):
        key = MADE_OF + _digest([source.name, table])
        known, now = set(before.get(key, "").split()), _made_of(source, table)
        if known - now and now - known:
            raise ExpectedError(
                f"events from {table}: without an event_id ids were made of the columns, whose mapping changed since, "
                "so each event would count twice; load into a new warehouse, with an event_id if there is one"
            )
        made[key] = " ".join(sorted(known | now))
    return made


def _made_of(source: SourceConfig, table: str) -> set[str]:
    """A digest for each mapping of the table: of all that shapes its events, or of none of it where they have ids."""
    mappings = [mapping for mapping in source.events if mapping.read.name == table]
    return {
        "given" if "event_id" in each.columns else _digest([each.columns, each.time_zone or source.time_zone])
        for each in mappings
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
