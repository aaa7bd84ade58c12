"""What a head is: something predicted of a user, with its label, the columns it fills and its title.

Code that depends on what a head is asks for its ``kind``; everything else loops over the heads that a bundle has.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

Kind = Literal["classes", "amount", "count", "probability", "share"]
"""What is predicted.

``classes``: a probability for each of K classes. ``amount``: money; models see it in platform scales, tables hold the
warehouse's currency. ``count``: how often something happens. ``probability``: of something that happens or not.
``share``: a number from 0 to 1, whose label may be unknown.
"""


@dataclass(frozen=True)
class Head:
    """``columns`` are those of the score tables that hold the predictions.

    A head of kind ``amount`` has four: mean, median, lower and upper end of the interval; the other kinds have one.
    """

    name: str
    kind: Kind
    label: str
    """The column of the training set that the label comes from."""
    columns: tuple[str, ...]
    filled: tuple[str, ...]
    """Columns of the score tables that a bundle with this head fills for every scored user."""
    title: str
    """The name of the head in cards and reports, in the middle of a sentence."""
    by_default: bool = True
    """Whether a network has this head where its configuration names none."""

    @property
    def column_type(self) -> str:
        """The type of ``columns``, in Spark's DDL."""
        return "MAP<STRING, DOUBLE>" if self.kind == "classes" else "DOUBLE"


HEADS = {
    head.name: head
    for head in (
        Head(
            "tier",
            "classes",
            label="spend",
            columns=("tier_probabilities",),
            filled=("tier_probabilities", "raw_tier", "ulv_tier", "expected_value"),
            title="value tier",
        ),
        Head(
            "spend",
            "amount",
            label="spend",
            columns=("expected_value", "expected_value_median", "expected_value_low", "expected_value_high"),
            filled=("raw_tier", "ulv_tier", "expected_value", "expected_value_median"),
            title="spend",
        ),
        Head(
            "churn",
            "probability",
            label="churned",
            columns=("churn_probability",),
            filled=("churn_probability",),
            title="probability of leaving",
        ),
        Head(
            "price_sensitivity",
            "share",
            label="price_sensitivity",
            columns=("price_sensitivity",),
            filled=("price_sensitivity",),
            title="price sensitivity",
        ),
        Head(
            "orders",
            "count",
            label="orders_in_horizon",
            columns=("expected_orders",),
            filled=("expected_orders",),
            title="number of orders",
            by_default=False,
        ),
    )
}
"""The shipped heads by name. The classes of ``tier`` are ranges of spend, so it also gives an expected value."""

DEFAULT_HEADS = tuple(name for name, head in HEADS.items() if head.by_default)


def _known(name: str) -> str:
    if name not in HEADS:
        raise ValueError(f"unknown head {name!r}; choose among {', '.join(HEADS)}")
    return name


HeadName = Annotated[str, AfterValidator(_known)]
"""A key of ``HEADS``; validated models refuse any other."""


def columns_of(*kinds: Kind) -> tuple[str, ...]:
    """Columns of the score tables that heads of these kinds have."""
    return tuple(name for head in HEADS.values() if head.kind in kinds for name in head.columns)


def filled_columns(heads: Iterable[str]) -> tuple[str, ...]:
    """Columns of the score tables that a bundle with these heads fills for every scored user."""
    return tuple(dict.fromkeys(name for head in heads for name in HEADS[head].filled))
