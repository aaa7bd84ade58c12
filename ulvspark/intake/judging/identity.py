"""Decides which rows are the same: ids in one form, hashes of content, and one row for each key."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import SourceConfig, TableMapping
from ulvspark.intake.judging.quarantine import CONTRADICTING_DUPLICATE, IDENTICAL_COPY, SUPERSEDED

EVENT_IDS_OF = "ulvspark.event_ids_of."
"""Prefix of properties of ``events``, one for each source table: the mappings by which its event ids were made."""

LATEST = "latest_"
"""Prefix of columns that hold the ``latest_by`` of a mapping, by its place: mappings have it in types of their own."""


def content_hash(frame: DataFrame, columns: Sequence[str]) -> Column:
    """A 64-bit hash of the named columns: rows of equal content have equal hashes.

    Spark's xxhash64 passes over nulls, so which columns are null is hashed with the values.
    """
    nulls = reduce(add, (F.col(name).isNull().cast("bigint") * F.lit(2**place) for place, name in enumerate(columns)))
    return F.xxhash64(*(_hashable(frame, name) for name in columns), nulls)


def _hashable(frame: DataFrame, column: str) -> Column:
    is_map = frame.schema[column].dataType.typeName() == "map"
    return F.to_json(column) if is_map else F.col(column)


@dataclass(frozen=True)
class SettledRows:
    """Rows of which no two good ones (null ``outcome``) share a key."""

    rows: DataFrame
    repeated: DataFrame
    """The hashes of keys that several good rows share, cached: ``rows`` is computed with them."""


def settle_identity(judged: DataFrame, key: str) -> SettledRows:
    """Make ``key`` unique among the good rows of ``judged`` (null ``outcome``); reads them, so let them be cached.

    Of the rows of a key in a mapping with ``latest_by`` (``versions_of`` numbers it), all but the newest become
    ``SUPERSEDED``. Where the rows that still share a key have equal content, all but one become ``IDENTICAL_COPY``;
    where the content differs, all become ``CONTRADICTING_DUPLICATE``. A row without a key gets one made of its content
    hash and of how often that content came before; rows of one hash are equal, so the order of files does not matter.

    Nearly all keys occur once. Those that do not are found by their hashes, so that only their rows are sorted.
    """
    same = F.when(F.col(key).isNotNull(), F.xxhash64(key)).otherwise(F.col("content_hash"))
    hashed = judged.withColumn("same", F.when(F.col("outcome").isNull(), same))
    counted = hashed.where("same IS NOT NULL").groupBy("same").count()
    repeated = counted.where("count > 1").select("same").persist()
    compared = hashed.withColumn("occurrence", F.lit(1))
    if not repeated.isEmpty():
        several = _compare_repeated(hashed.join(repeated, "same", "left_semi"), key)
        compared = compared.join(repeated, "same", "left_anti").unionByName(several)
    made = F.concat_ws("-", F.lower(F.hex("content_hash")), "occurrence")
    named = compared.withColumn(key, F.coalesce(key, F.when(F.col("outcome").isNull(), made)))
    return SettledRows(named.drop("same", "occurrence", "versions_of"), repeated)


def _compare_repeated(repeated: DataFrame, key: str) -> DataFrame:
    """Good rows that share a key, with their ``outcome``, and ``occurrence`` which numbers rows of equal content."""
    latest = [F.col(name).desc_nulls_last() for name in repeated.columns if name.startswith(LATEST)]
    newest_first = (*latest, F.col("content_hash").desc())
    rank = F.row_number().over(Window.partitionBy("same", key, "versions_of").orderBy(*newest_first))
    # Rows without a key of their own are not versions of each other.
    older = F.col(key).isNotNull() & F.col("versions_of").isNotNull() & (rank > 1)
    newest = repeated.withColumn("outcome", F.when(older, SUPERSEDED))
    by_content = Window.partitionBy("same", key, "outcome").orderBy("content_hash")
    all_of_key = by_content.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    contradicts = F.first("content_hash").over(all_of_key) != F.last("content_hash").over(all_of_key)
    numbered = newest.withColumns({"contradicts": contradicts, "occurrence": F.row_number().over(by_content)})
    outcome = F.when(F.col("contradicts"), CONTRADICTING_DUPLICATE).when(F.col("occurrence") > 1, IDENTICAL_COPY)
    own = F.col(key).isNotNull() & F.col("outcome").isNull()
    return numbered.withColumn("outcome", F.when(own, outcome).otherwise(F.col("outcome"))).drop("contradicts")


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


def digest_of_mappings(source: SourceConfig) -> str:
    """A digest of all in a source's YAML that decides what its rows become."""
    decides_nothing = {"protocol", "vanished", "corrections_reach_days"}
    return _digest(source.model_dump(mode="json", exclude=decides_nothing))
