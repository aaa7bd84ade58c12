"""Prices, amounts and quantities: when a value is too large, and when the contract's four digits lose some of it."""

from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DecimalType

from ulvspark.intake.columns.targets import INTEGERS

TOLERATED_LOSS = 0.001
"""A value that moves by more than this share of itself when it is rounded to four digits has lost precision."""

ROUNDED_BY = Decimal("0.00005")
LARGEST_LOSSY = ROUNDED_BY * int(1 / TOLERATED_LOSS) + Decimal("0.0001")
"""Above this, rounding moves no value by so much."""


def is_larger(given: Column, limit: float) -> Column:
    """Whether a number or text is a number beyond ``limit``, however large."""
    return F.abs(given.cast("double")) > limit


def loses_digits(kind: DataType) -> bool:
    """Whether values of a type can have more digits behind the point than ``schema.MONEY`` keeps."""
    return kind.typeName() not in INTEGERS and not (isinstance(kind, DecimalType) and kind.scale <= 4)


def has_lost_digits(kept: Column, given: Column) -> Column:
    """Whether ``kept`` (``schema.MONEY``) differs from what was ``given`` by more than ``TOLERATED_LOSS`` of it."""
    exact = given.cast("double")
    # Only small values are looked at more closely.
    is_small = F.abs(kept) < F.lit(LARGEST_LOSSY)
    return is_small & (F.abs(kept.cast("double") - exact) > F.abs(exact) * TOLERATED_LOSS)
