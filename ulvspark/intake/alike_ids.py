"""Counts ids that differ only by case or by their normal form of Unicode, which are likely to be one and the same."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.intake.columns.texts import is_ascii

COUNTED_AT_MOST = 5_000_000
"""Rows whose ids are compared: of a larger table a sample of its ids, with all that are not ASCII."""

SAME_BUT_CASE_AND_FORM = "UNICODE_CI"
"""A collation: text that is equal by it differs by case, composed accents or the width of characters alone."""


def alike_ids(ids: DataFrame, rows: int) -> tuple[int, int]:
    """Of a frame of one column of ids with so many rows: how many ids are like another, and what they might be.

    ``(3, 1)`` for ``Ann``, ``ann``, ``ANN`` and ``bob``. Both are estimates where not all ids are compared.
    """
    (name,) = ids.columns
    share = max(1, rows // COUNTED_AT_MOST)
    sample = ids if share == 1 else ids.where(_in_sample(F.col(name), share))
    groups = sample.distinct().groupBy(F.collate(name, SAME_BUT_CASE_AND_FORM)).agg(F.count("*").alias("ids"))
    counted = groups.where("ids > 1").agg(F.coalesce(F.sum("ids"), F.lit(0)), F.count("*")).first()
    return (0, 0) if counted is None else (int(counted[0]) * share, int(counted[1]) * share)


def _in_sample(value: Column, share: int) -> Column:
    return ~is_ascii(value) | (F.pmod(F.xxhash64(F.lower(value)), F.lit(share)) == 0)
