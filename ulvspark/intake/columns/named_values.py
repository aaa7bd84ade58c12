"""What an SQL expression reads of a row, by Spark's analysed plan: an expression that gives null there has failed."""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.intake.columns.targets import TEXTS
from ulvspark.intake.columns.texts import is_missing_word, trimmed

_COLUMN = "AttributeReference"
_PART_OF_A_COLUMN = {"GetStructField", "GetArrayItem", "GetMapValue", "GetArrayStructFields", "ElementAt"}


def gives_null_in_spite_of_values(source: DataFrame, sql: str, words: Sequence[str]) -> Column | None:
    """Whether ``sql`` is null in a row of ``source`` where all that it reads has a value, which is none of ``words``.

    None where that cannot be: the expression is a column (or a part of one), reads none, or says NULL itself.
    """
    expression = _expression(source, sql)
    if _is_value(expression) or any(_says_null(each) for each in _walk(expression)):
        return None
    values = sorted({each.sql() for each in _walk(expression) if _is_value(each)})
    if not values:
        return None
    return F.expr(sql).isNull() & reduce(and_, [_has_value(source, value, words) for value in values])


def _expression(source: DataFrame, sql: str) -> Any:  # noqa: ANN401 - an expression of Spark's own
    expression = source.select(F.expr(sql).alias("value"))._jdf.queryExecution().analyzed().expressions().head()
    return expression.child() if _kind(expression) == "Alias" else expression


def _kind(expression: Any) -> str:  # noqa: ANN401
    return str(expression.getClass().getSimpleName())


def _walk(expression: Any) -> Iterator[Any]:  # noqa: ANN401
    """The expression and what it is made of, except what is inside a column's part or a lambda."""
    yield expression
    if _is_value(expression) or _kind(expression) == "LambdaFunction":
        return
    children = expression.children()
    for place in range(children.size()):
        yield from _walk(children.apply(place))


def _is_value(expression: Any) -> bool:  # noqa: ANN401
    """A column, or a field or element of one."""
    is_part = _kind(expression) in _PART_OF_A_COLUMN
    return _kind(expression) == _COLUMN or (is_part and _is_value(expression.children().head()))


def _says_null(expression: Any) -> bool:  # noqa: ANN401
    """A literal NULL, or CASE without ELSE."""
    kind = _kind(expression)
    if kind == "CaseWhen":
        return bool(expression.elseValue().isEmpty())
    return kind == "TypedNullLiteral" or (kind == "Literal" and expression.value() is None)


def _has_value(source: DataFrame, sql: str, words: Sequence[str]) -> Column:
    value = F.expr(sql)
    if source.select(value).schema[0].dataType.typeName() not in TEXTS:
        return value.isNotNull()
    text = trimmed(value)
    return text.isNotNull() & ~is_missing_word(text, words)
