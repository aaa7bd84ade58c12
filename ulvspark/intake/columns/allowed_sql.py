"""What an SQL expression of a mapping may do: combine the columns of one row with functions that are built in and pure.

Names of functions are checked on the parsed expression, before Spark looks anything up: by then a subquery would have
opened its table.
"""

import json
import re
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

from py4j.java_gateway import JavaObject
from pyspark.sql import SparkSession

PURE_GROUPS = frozenset(
    f"{group}_funcs"
    for group in (
        "array", "bitwise", "collection", "conditional", "conversion", "csv", "datetime", "hash", "json", "lambda",
        "map", "math", "predicate", "string", "struct", "url", "variant",
    )
)  # fmt: skip
"""Groups of Spark's built-in functions. Those of XML and Avro can open files, and others reach outside the row."""
FURTHER_FUNCTIONS = frozenset({"assert_true", "raise_error", "typeof"})
"""Functions of other groups that are allowed."""

ONE_VALUE = "one value for each row of the table"
_ONE_VALUE = f"an expression must give {ONE_VALUE}"
_REFUSED_GROUPS = {
    "agg_funcs": f"takes several rows together, but {_ONE_VALUE}",
    "window_funcs": f"looks at other rows, but {_ONE_VALUE}",
    "generator_funcs": f"makes several rows of one, but {_ONE_VALUE}; name the array in the mapping's key explode",
}
CHANGES = "gives another value each time it is read, so that every load would bring all rows again as new"
_REFUSED_FUNCTIONS = {
    "uuid": CHANGES,
    "monotonically_increasing_id": CHANGES,
    "spark_partition_id": CHANGES,
    "input_file_name": CHANGES,
    "json_tuple": _REFUSED_GROUPS["generator_funcs"],
    "window": _REFUSED_GROUPS["window_funcs"],
    "session_window": _REFUSED_GROUPS["window_funcs"],
    "window_time": _REFUSED_GROUPS["window_funcs"],
    "schema_of_variant_agg": _REFUSED_GROUPS["agg_funcs"],
}
"""Functions that are refused whatever their group."""

_NOT_ALLOWED = "which a mapping may not: it sees the columns of its own row and built-in functions of them"
_TODAY = re.compile(r"\b(date|timestamp(_ltz|_ntz)?)\s*(['\"])\s*(now|today|tomorrow|yesterday)\b", re.IGNORECASE)
_TODAY_WORDS = ("now", "today", "tomorrow", "yesterday")

Node = dict[str, Any]


def objection(spark: SparkSession, sql: str, columns: Collection[str]) -> str | None:
    """Why the expression is refused over a table with ``columns``; None for one that Spark may look at further.

    Raises Spark's ParseException.
    """
    parsed = _parser(spark).parseExpression(sql)
    if parsed.containsPattern(_patterns(spark).PLAN_EXPRESSION()):
        return f"holds a subquery, {_NOT_ALLOWED}"
    if _TODAY.search(sql):
        return CHANGES
    nodes = nodes_of(parsed)
    if any(_class(node) == "ExpressionWithUnresolvedIdentifier" for node in nodes):
        return f"makes a name with IDENTIFIER(), {_NOT_ALLOWED}"
    if any(_class(node) == "WindowExpression" for node in nodes):
        return _REFUSED_GROUPS["window_funcs"]
    if any(names[0] == "_metadata" for names in _attributes(nodes)) and "_metadata" not in columns:
        return f"asks for the file of a row, {_NOT_ALLOWED}"
    functions = {tuple(_names(node)) for node in nodes if _class(node) == "UnresolvedFunction"}
    return next((why for names in sorted(functions) if (why := _objection_to(spark, names)) is not None), None)


def _objection_to(spark: SparkSession, names: tuple[str, ...]) -> str | None:
    name, called = names[-1].lower(), f"calls {'.'.join(names)}(), "
    if len(names) > 1 or (group := _group(spark, name)) is None:
        return called + "which is not built into Spark; use functions that are"
    if why := _REFUSED_FUNCTIONS.get(name) or _REFUSED_GROUPS.get(group):
        return f"{called}which {why}"
    return None if group in PURE_GROUPS or name in FURTHER_FUNCTIONS else called + _NOT_ALLOWED


def _group(spark: SparkSession, function: str) -> str | None:
    """The group of a built-in function in Spark's documentation; None where Spark itself has none of that name."""
    session, jvm = _internals(spark)
    identifier = jvm.org.apache.spark.sql.catalyst.FunctionIdentifier(function)
    known = session.sessionState().functionRegistry().lookupFunction(identifier)
    if known.isEmpty() or known.get().getSource() != "built-in":
        return None
    return str(known.get().getGroup())


def changes(spark: SparkSession, analysed: JavaObject) -> bool:
    """Whether an analysed expression may give another value for the same row at another time or for another user."""
    if not analysed.deterministic() or analysed.containsPattern(_patterns(spark).CURRENT_LIKE()):
        return True
    nodes = nodes_of(analysed)
    casts = pairwise(nodes)
    return any(
        _class(cast) == "Cast" and str(cast["dataType"]).startswith(("date", "timestamp")) and _is_today(child)
        for cast, child in casts
    )


def _is_today(node: Node) -> bool:
    return _class(node) == "Literal" and str(node["value"]).strip().lower().startswith(_TODAY_WORDS)


def used_columns(spark: SparkSession, sql: str) -> set[str]:
    """Names in the expression that may be columns of its table, in lower case."""
    nodes = nodes_of(_parser(spark).parseExpression(sql))
    return {names[0].lower() for names in _attributes(nodes)}


def is_plain(spark: SparkSession, sql: str) -> bool:
    """Whether the expression is a column or a constant as it stands, which cannot fail."""
    plain = {"UnresolvedAttribute", "UnresolvedExtractValue", "Literal"}
    return {_class(node) for node in nodes_of(_parser(spark).parseExpression(sql))} <= plain


def nodes_of(expression: JavaObject) -> list[Node]:
    """The nodes of an expression of Spark, each before its children."""
    nodes: list[Node] = json.loads(expression.toJSON())
    return nodes


def _attributes(nodes: list[Node]) -> Iterator[list[str]]:
    # Within a lambda every name looks like one of its variables.
    kinds = ("UnresolvedAttribute", "UnresolvedNamedLambdaVariable")
    return (_names(node) for node in nodes if _class(node) in kinds)


def _names(node: Node) -> list[str]:
    return str(node["nameParts"]).strip("[]").split(", ")


def _class(node: Node) -> str:
    return str(node["class"]).rpartition(".")[2]


def _parser(spark: SparkSession) -> Any:  # noqa: ANN401 - an object of the JVM
    return _internals(spark)[0].sessionState().sqlParser()


def _patterns(spark: SparkSession) -> Any:  # noqa: ANN401 - an object of the JVM
    return _internals(spark)[1].org.apache.spark.sql.catalyst.trees.TreePattern


def _internals(spark: SparkSession) -> tuple[Any, Any]:
    return spark._jsparkSession, spark._jvm
