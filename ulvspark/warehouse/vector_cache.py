"""Caches of vectors: what an encoder has read before is looked up by its key instead of being read again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.config import Strict
from ulvspark.contract.dates import Days
from ulvspark.contract.schema import Table
from ulvspark.warehouse.tables import Warehouse

LARGEST_SIZE = 2
"""A cache that holds more than this many times the vectors in use is rewritten without the others."""


class RetentionConfig(Strict):
    """How long vectors are kept."""

    stale_encoder_days: Days
    """The vectors of an encoder version are removed when none was added for this many days."""


@dataclass(frozen=True)
class Lookup:
    """Which of the wanted keys a cache holds."""

    keys: DataFrame
    """The key, once each, and ``known``: true where the cache holds its vector, else null. Kept on disk."""
    wanted: int
    known: int

    @property
    def missing(self) -> int:
        """How many keys the cache lacks."""
        return self.wanted - self.known

    def missing_keys(self) -> DataFrame:
        """The keys that the cache lacks, in a column of the key's name."""
        return self.keys.where(F.col("known").isNull()).drop("known")


@dataclass(frozen=True)
class VectorCache:
    """The vectors that one version of an encoder has made, as of one version of their table.

    ``table`` has the columns encoder version (its partition), key, vector and created_at.
    """

    warehouse: Warehouse
    table: Table
    encoder_version: str
    table_version: int

    @property
    def key(self) -> str:
        """The name of the key column."""
        return self.table.key[1]

    def vectors(self) -> DataFrame:
        """The key and ``vector``, one row a key even where two runs added the same one."""
        vectors = self._rows().select(self.key, "vector")
        # Repeats are rare, and dropping them sorts all vectors: so they are looked for by keys alone.
        repeated = vectors.groupBy(self.key).count().where("count > 1")
        return vectors if repeated.isEmpty() else vectors.dropDuplicates([self.key])

    def fill(self, wanted: DataFrame, encode: Callable[[Lookup], DataFrame]) -> "FilledCache":
        """Have the vectors of all keys in ``wanted``, a frame of one column in which keys may repeat; null is no key.

        ``encode`` is called when keys are missing, and gives their vectors: the key, ``vector``, one row a key.
        """
        lookup = self._look_up(wanted)
        if not lookup.missing:
            return FilledCache(self, lookup)
        facts = {self.table.partition[0]: F.lit(self.encoder_version), "created_at": F.lit(datetime.now(UTC))}
        rows = encode(lookup).withColumns(facts).select(*self.table.names)
        version = self.warehouse.append(rows, self.table.name)
        return FilledCache(replace(self, table_version=version), lookup)

    def _look_up(self, wanted: DataFrame) -> Lookup:
        keys = wanted.toDF(self.key).where(F.col(self.key).isNotNull()).withColumn("is_wanted", F.lit(True))
        held = self._rows().select(self.key, F.lit(True).alias("known"))
        # Grouped together, so that keys are shuffled once, nothing is sorted and no vector is read.
        grouped = keys.unionByName(held, allowMissingColumns=True).groupBy(self.key)
        marked = grouped.agg(F.max("is_wanted").alias("is_wanted"), F.max("known").alias("known"))
        marked = marked.where("is_wanted").drop("is_wanted").persist(StorageLevel.DISK_ONLY)
        [(number, known)] = marked.agg(F.count(self.key), F.count("known")).collect()
        return Lookup(marked, number, known)

    def _rows(self) -> DataFrame:
        rows = self.warehouse.read(self.table.name, self.table_version)
        return rows.where(F.col(self.table.partition[0]) == self.encoder_version)


@dataclass(frozen=True)
class FilledCache:
    """A cache that holds the vectors of all wanted keys. Call ``release`` when done."""

    cache: VectorCache
    lookup: Lookup
    """What was wanted, and which of it the cache held before it was filled."""

    def wanted_vectors(self) -> DataFrame:
        """The key and ``vector`` of the wanted keys, one row a key."""
        return self.cache.vectors().join(self.lookup.keys, self.cache.key, "left_semi")

    def remove_unused(self) -> int:
        """Keep only the vectors of the wanted keys, when the cache holds far more; returns how many went.

        Keys change every night, so the cache would grow for as long as its encoder is used, and every night reads all
        of its keys. A removed vector is made again when its key returns.
        """
        cache, version = self.cache, self.cache.table.partition[0]
        rows = cache.warehouse.read(cache.table.name).where(F.col(version) == cache.encoder_version)
        before = rows.count()
        if before <= LARGEST_SIZE * self.lookup.wanted:
            return 0
        where = f"{version} = '{cache.encoder_version}'"
        used = rows.join(self.lookup.keys, cache.key, "left_semi")
        cache.warehouse.overwrite(used, cache.table.name, cache.table.partition, where)
        return before - cache.warehouse.read(cache.table.name).where(where).count()

    def release(self) -> None:
        """Free the disk space of the wanted keys."""
        self.lookup.keys.unpersist()


def open_cache(warehouse: Warehouse, table: Table, encoder_version: str) -> VectorCache:
    """The cache of an encoder version in ``table``, which is created where it is missing."""
    warehouse.ensure(table)
    return VectorCache(warehouse, table, encoder_version, warehouse.version(table.name))


def remove_stale_encoders(
    warehouse: Warehouse, table: Table, current: str, now: datetime, config: RetentionConfig
) -> int:
    """Remove from a cache the encoder versions other than ``current`` that got no new vector for long.

    Returns how many versions went. A version is a partition, so no file is rewritten.
    """
    version = table.partition[0]
    newest = warehouse.read(table.name).groupBy(version).agg(F.max("created_at").alias("newest"))
    before = now - timedelta(days=config.stale_encoder_days)
    old = [row[version] for row in newest.where(F.col("newest") < F.lit(before)).collect()]
    stale = [encoder_version for encoder_version in old if encoder_version != current]
    if stale:
        warehouse.delete(table.name, F.col(version).isin(stale))
    return len(stale)
