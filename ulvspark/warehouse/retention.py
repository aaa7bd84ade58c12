"""What caches forget: vectors of encoders that are no longer at work."""

from datetime import datetime, timedelta

from pydantic import Field
from pyspark.sql import functions as F

from ulvspark.contract.config import Strict
from ulvspark.contract.schema import Table
from ulvspark.warehouse.tables import Warehouse


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
