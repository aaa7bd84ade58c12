"""Ids in one form, and the ids that cannot be trusted: doubles that stand for several, and damaged text."""

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, FloatType

from ulvspark.contract.source.values import IdForm
from ulvspark.intake.columns.normal_forms import in_normal_form
from ulvspark.intake.columns.texts import is_ascii, is_missing_word

WHOLE_NUMBER = r"^(-?\d+)\.0+$"
PRINTED_DOUBLE = r"^-?\d\.\d+[eE]\+?\d+$"
"""A number as doubles are printed from ten million on, which keeps at most 17 digits."""

EXACT_UP_TO = {"double": 2.0**53, "float": 2.0**24}
"""From here on a number of that type stands for several whole numbers."""


def canonical_id(given: Column, kind: DataType, words: Sequence[str], form: IdForm) -> Column:
    """An id, trimmed where it is text, in its one form; null for ``words`` that stand for no value."""
    if isinstance(kind, DoubleType | FloatType):
        # A double prints as 1.2345678E7 from ten million on; whole numbers go through an integer.
        return F.when(given == F.floor(given), given.cast("bigint").cast("string")).otherwise(given.cast("string"))
    text = given.cast("string")
    if kind.typeName() in EXACT_KINDS:
        return text
    known = F.when(~is_missing_word(text, words), _whole_number(text))
    return _in_case(_in_normal_form(known, form), form)


EXACT_KINDS = {"byte", "short", "integer", "long", "date"}
"""Types of ids that are printed in one way."""


def _whole_number(text: Column) -> Column:
    return F.when(F.contains(text, F.lit(".")), F.regexp_replace(text, WHOLE_NUMBER, "$1")).otherwise(text)


def is_inexact(given: Column, kind: DataType) -> Column:
    """Whether an id, trimmed where it is text, is a double that may stand for several ids, or for none."""
    limit = EXACT_UP_TO.get(kind.typeName())
    if limit is not None:
        return F.abs(given) >= limit
    if kind.typeName() in EXACT_KINDS:
        return F.lit(False)
    text = given.cast("string")
    printed = F.contains(text, F.lit(".")) & text.rlike(PRINTED_DOUBLE)
    return printed | text.isin("Infinity", "-Infinity")


def may_vary(value: Column, form: IdForm) -> Column:
    """Whether another id may differ from this one only by case or by its normal form of Unicode."""
    other_case = value != F.lower(value) if form.case == "as_is" else F.lit(False)
    return other_case | ~is_ascii(value)


def _in_case(value: Column, form: IdForm) -> Column:
    return {"as_is": value, "lower": F.lower(value), "upper": F.upper(value)}[form.case]


def _in_normal_form(value: Column, form: IdForm) -> Column:
    return value if form.unicode == "as_is" else in_normal_form(value, form.unicode)
