"""The limits in a source's YAML: bounds of plausible values, and of what a load may look like."""

from pydantic import Field

from ulvspark.contract.config import Strict
from ulvspark.contract.dates import FIRST_DATE, Day

LARGEST_AMOUNT = 1e8
LARGEST_EXACT_AMOUNT = 9e11
"""Timelines hold whole ten-thousandths, which come from doubles; above this a double cannot hold each of them."""


class QuarantinedShare(Strict):
    """The largest share of a table's rows that may be quarantined; with more, the load is refused."""

    events: float = Field(default=0.5, ge=0, le=1)
    products: float = Field(default=0.5, ge=0, le=1)
    users: float = Field(default=0.5, ge=0, le=1)


class Limits(Strict):
    """Bounds of plausible values, and of what a load may look like."""

    largest_amount: float = Field(default=LARGEST_AMOUNT, gt=0, le=LARGEST_EXACT_AMOUNT)
    """Of a price, an amount, a quantity, and of quantity times price; a row above it is quarantined."""
    earliest: Day = FIRST_DATE
    """Of events and of signing up; a row before it is quarantined."""
    quarantined_share: QuarantinedShare = QuarantinedShare()
    lost_precision_share: float = Field(default=0.01, ge=0, le=1)
    """The largest share of rows whose price, amount or quantity may lose digits; with more, the load is refused."""
    fewest_rows: float = Field(default=0.5, ge=0, le=1)
    """Rows that a source table must have, as a share of the median of its last loads; fewer are told."""
    refuse_fewer_rows: bool = False
    """Refuse a load with fewer rows than that, or with none, instead of telling."""
