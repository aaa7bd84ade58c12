"""Counts ids that differ only by case or by their normal form of Unicode, which are likely to be one and the same."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.intake.columns.texts import is_ascii

COUNTED_AT_MOST = 5_000_000
"""Rows whose ids are compared: of a larger table a sample of its ids, with all that are not ASCII."""

SAME_BUT_CASE_AND_FORM = "UNICODE_CI"
"""A collation: text that is equal by it differs by case, composed accents or the width of characters alone."""


@dataclass(frozen=True)
class Alike:
    """How many ids are like another one, and how many things they name if those are one: 3 and 1 for Ann, ann, ANN."""

    ids: int
    things: int


def alike_ids(ids: DataFrame, rows: int) -> Alike:
    """Of a frame of one column of ids with so many rows; estimates, where there are more rows than are compared."""
    (name,) = ids.columns
    share = max(1, rows // COUNTED_AT_MOST)
    sample = ids if share == 1 else ids.where(_in_sample(F.col(name), share))
    groups = sample.distinct().groupBy(F.collate(name, SAME_BUT_CASE_AND_FORM)).agg(F.count("*").alias("ids"))
    ((alike, things),) = groups.where("ids > 1").agg(F.coalesce(F.sum("ids"), F.lit(0)), F.count("*")).collect()
    return Alike(int(alike) * share, int(things) * share)


def _in_sample(value: Column, share: int) -> Column:
    return ~is_ascii(value) | (F.pmod(F.xxhash64(F.lower(value)), F.lit(share)) == 0)
