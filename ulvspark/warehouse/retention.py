"""What caches forget: vectors of encoders that are no longer at work, and of what nobody does any more."""

from datetime import datetime, timedelta

from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.config import Strict
from ulvspark.contract.schema import Table
from ulvspark.warehouse.tables import Warehouse

GROWN = 2
"""Of the encoder at work, times as many vectors as are of use that a cache may hold before it is written anew."""


class RetentionConfig(Strict):
    """How long kept vectors stay of use."""

    stale_encoder_days: int = Field(ge=1)
    """An encoder version that got no new vector for so many days is forgotten with all its vectors."""


def forget_stale(warehouse: Warehouse, cache: Table, current: str, now: datetime, config: RetentionConfig) -> int:
    """Remove from ``cache`` the stale encoder versions other than ``current``; returns how many.

    A version is a partition, so nothing is rewritten.
    """
    version = cache.partition[0]
    newest = warehouse.read(cache.name).groupBy(version).agg(F.max("created_at").alias("newest"))
    before = now - timedelta(days=config.stale_encoder_days)
    stale = [row[version] for row in newest.where(F.col("newest") < F.lit(before)).collect() if row[version] != current]
    if stale:
        warehouse.delete(cache.name, F.col(version).isin(stale))
    return len(stale)


def forget_unused(warehouse: Warehouse, cache: Table, current: str, used: DataFrame, number: int) -> int:
    """Keep of the vectors of ``current`` those of the ``number`` keys in ``used``, where there are many others.

    Returns how many were removed. Keys change with every night, so that a cache would grow for as long as an encoder
    is at work, and every night reads the keys of all; what returns after it was forgotten is encoded again.
    """
    version, key = cache.partition[0], used.columns
    ours = warehouse.read(cache.name).where(F.col(version) == current)
    held = ours.count()
    if held <= GROWN * number:
        return 0
    where = f"{version} = '{current}'"
    warehouse.overwrite(ours.join(used, key, "left_semi"), cache.name, cache.partition, where)
    return held - warehouse.read(cache.name).where(where).count()
