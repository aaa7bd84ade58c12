"""Decides which rows are the same: ids in one form, hashes of content, and one row for each key."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source import SourceConfig, TableMapping
from ulvspark.intake.quarantine import CONTRADICTING_DUPLICATE, IDENTICAL_COPY, SUPERSEDED

EVENT_IDS_OF = "ulvspark.event_ids_of."
"""Prefix of properties of ``events``, one for each source table: the mappings by which its event ids were made."""


def content_hash(frame: DataFrame, columns: Sequence[str]) -> Column:
    """SHA-256 of the named columns as JSON, so rows of equal content have equal hashes."""
    return F.sha2(F.to_json(F.struct(*(_hashable(frame, column) for column in columns))), 256)


def _hashable(frame: DataFrame, column: str) -> Column:
    # JSON keeps milliseconds only.
    is_instant = frame.schema[column].dataType.typeName() == "timestamp"
    return F.unix_micros(column).alias(column) if is_instant else F.col(column)


def mark_superseded(frame: DataFrame, key: str) -> DataFrame:
    """Of the good rows (null ``outcome``) of a key, all but the one with the largest ``latest`` become ``SUPERSEDED``.

    Of equal ones the largest content hash is kept.
    """
    newest_first = (F.col("latest").desc_nulls_last(), F.col("content_hash").desc())
    rank = F.row_number().over(_same_key(key).orderBy(*newest_first))
    # Rows without a key of their own are not versions of each other.
    older = F.col(key).isNotNull() & F.col("outcome").isNull() & (rank > 1)
    return frame.withColumn("outcome", F.when(older, SUPERSEDED).otherwise(F.col("outcome")))


def settle_identity(frame: DataFrame, key: str) -> DataFrame:
    """Make ``key`` unique among the good rows (null ``outcome``).

    Where rows that share a key have equal content, all but one become ``IDENTICAL_COPY``; where the content differs,
    all become ``CONTRADICTING_DUPLICATE``. A row without a key gets one made of its content hash and of how often that
    content came before; rows of one hash are equal, so the order of files does not matter.
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
    """Rows of one key. Good rows are compared only with good ones, so ``outcome`` (null for them) is part of it."""
    return Window.partitionBy(F.coalesce(key, "content_hash"), "outcome")


def event_id_properties(source: SourceConfig, properties: Mapping[str, str]) -> dict[str, str]:
    """Properties that tell from what event ids were made; ``properties`` are those that ``events`` has already.

    Raises ExpectedError where a source table gives no ids and its mapping has changed since it was first loaded: every
    event of the table would be added once more, with another id.
    """
    made = {}
    for table in sorted({mapping.read.name for mapping in source.events}):
        key = EVENT_IDS_OF + _digest([source.name, table])
        known, now = set(properties.get(key, "").split()), _mapping_digests(source, table)
        if known - now and now - known:
            raise ExpectedError(
                f"events from {table}: without an event_id ids were made of the columns, whose mapping changed since, "
                "so each event would count twice; load into a new warehouse, with an event_id if there is one"
            )
        made[key] = " ".join(sorted(known | now))
    return made


def _mapping_digests(source: SourceConfig, table: str) -> set[str]:
    """For each mapping of the table "given" where it maps event ids, else a digest of all that shapes its events."""
    mappings = [mapping for mapping in source.events if mapping.read.name == table]
    return {"given" if "event_id" in mapping.columns else _digest(_shapes(mapping, source)) for mapping in mappings}


def _shapes(mapping: TableMapping, source: SourceConfig) -> list[object]:
    """All that shapes the content of events; what is as it is by default is left out."""
    settings = source.model_dump(mode="json", include={"ids", "missing_words"}, exclude_defaults=True)
    by_choice = [each for each in (mapping.values, settings) if each]
    return [mapping.columns, mapping.time_zone or source.time_zone, *by_choice]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
