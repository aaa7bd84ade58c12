"""Checks the SQL expressions of a mapping against its source table, and evaluates them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import TableMapping
from ulvspark.intake.columns.allowed_sql import CHANGES, ONE_VALUE, changes, is_plain, objection
from ulvspark.intake.columns.named_values import gives_null_in_spite_of_values
from ulvspark.intake.columns.targets import ACCEPTED, Target
from ulvspark.intake.reading.csv_files import MALFORMED_ROW
from ulvspark.intake.reading.read_errors import first_line

ITEM = "item"
"""What the expressions call an element of the array that the mapping's ``explode`` names."""


@dataclass(frozen=True)
class MappedTable:
    """A source table, how it is mapped, and to what."""

    source: DataFrame
    mapping: TableMapping
    target: Target

    @property
    def expressions(self) -> dict[str, str]:
        """SQL by what it is for: a contract column, ``filter`` or ``latest_by``."""
        others = {"filter": self.mapping.filter, "latest_by": self.mapping.latest_by}
        return {**self.mapping.columns, **{name: sql for name, sql in others.items() if sql is not None}}

    @property
    def columns(self) -> list[str]:
        """The columns that the source has."""
        return [name for name in self.source.columns if name != MALFORMED_ROW]

    def __str__(self) -> str:
        return f"{self.target.table.name} from {self.mapping.read.name}"


@dataclass(frozen=True)
class Evaluated:
    """The expressions of a mapping as columns, not yet in the contract's types."""

    rows: DataFrame
    """A column for each mapped one, ``failed_COLUMN`` for each of ``Target.needed`` (whether its expression gave null
    in spite of its values), ``latest`` (the value of latest_by, else null), ``malformed`` (a CSV row that has other
    fields than the header, as it stands in the file; else null), and ``source_row`` (a struct of the whole row)."""
    kinds: Mapping[str, DataType]
    """The type that each mapped column has in ``rows``."""


def evaluate(table: MappedTable, missing_words: Sequence[str]) -> Evaluated:
    """The rows of ``table`` that pass the mapping's filter, with the mapping's expressions.

    Raises ExpectedError for an unknown or missing contract column, for an expression that is not valid, does what a
    mapping may not or names a column which the source lacks, and for a type that cannot be converted.
    """
    _check_names(table)
    table = exploded(table)
    kinds = _kinds(table, table.expressions)
    if "filter" in kinds and (kind := kinds["filter"].typeName()) != "boolean":
        raise _does_not_fit(table, "filter", table.expressions["filter"], f"is {kind}, not a condition")
    for name in table.mapping.columns:
        _check_type(table, name, kinds[name])
    failed = {name: _failed(table, name, missing_words) for name in table.target.needed}
    return Evaluated(_selected(table, failed), {name: kinds[name] for name in table.mapping.columns})


def _failed(table: MappedTable, name: str, missing_words: Sequence[str]) -> Column:
    sql = table.mapping.columns.get(name)
    failed = None if sql is None else gives_null_in_spite_of_values(table.source, sql, missing_words)
    return F.lit(False) if failed is None else failed


def failing_expression(table: MappedTable) -> tuple[str, PySparkException] | None:
    """Where an expression fails on some row of ``table``, and Spark's error; None where none does.

    Reads the table once for each expression that could fail.
    """
    kept = filtered(exploded(table))
    rows = {"explode": table.source, "filter": exploded(table).source}
    # What decides on the rows comes first, since it fails together with each of the others too.
    first = {"explode": table.mapping.explode, "filter": table.mapping.filter}
    for name, sql in (first | table.expressions).items():
        if sql is None or is_plain(kept.sparkSession, sql):
            continue
        try:
            rows.get(name, kept).select(F.expr(sql)).write.format("noop").mode("overwrite").save()
        except PySparkException as error:
            return _place(table, name, sql), error
    return None


def exploded(table: MappedTable) -> MappedTable:
    """A row for each element of the array ``mapping.explode``, with the element as ``ITEM``; one where it is empty."""
    sql = table.mapping.explode
    if sql is None:
        return table
    kind = _kinds(table, {"explode": sql})["explode"]
    if not isinstance(kind, ArrayType):
        raise _does_not_fit(table, "explode", sql, f"is {kind.simpleString()}, not an array")
    if ITEM in table.columns:
        raise _does_not_fit(table, "explode", sql, f"would name its elements {ITEM}, as a column is; read a view")
    # An event without items is an event too: a search, or a purchase that ends in quarantine rather than nowhere.
    return replace(table, source=table.source.select("*", F.explode_outer(F.expr(sql)).alias(ITEM)))


def filtered(table: MappedTable) -> DataFrame:
    """The rows that pass the mapping's filter, and those of CSV files that have other fields than the header."""
    rows = table.source
    if table.mapping.filter is None:
        return rows
    condition = F.expr(table.mapping.filter)
    # A row whose fields stand in other columns may seem not to pass, and would be lost without a word.
    return rows.where(condition | F.col(MALFORMED_ROW).isNotNull() if MALFORMED_ROW in rows.columns else condition)


def _selected(table: MappedTable, failed: Mapping[str, Column]) -> DataFrame:
    is_csv = MALFORMED_ROW in table.source.columns
    return filtered(table).select(
        *(F.expr(sql).alias(name) for name, sql in table.mapping.columns.items()),
        *(column.alias(f"failed_{name}") for name, column in failed.items()),
        F.expr(table.mapping.latest_by or "NULL").alias("latest"),
        (F.col(MALFORMED_ROW) if is_csv else F.lit(None).cast("string")).alias("malformed"),
        _source_row(table).alias("source_row"),
    )


def _source_row(table: MappedTable) -> Column:
    """The row for quarantine; of an array that is exploded it has the one element."""
    left_out = [name for name in (MALFORMED_ROW, table.mapping.explode) if name in table.source.columns]
    row = F.struct("*")
    return row.dropFields(*(f"`{name}`" for name in left_out)) if left_out else row


def _check_names(table: MappedTable) -> None:
    columns, target = table.mapping.columns, table.target
    unknown = [name for name in columns if name not in target.columns]
    if unknown:
        raise ExpectedError(
            f"{table}: the contract has no column {', '.join(unknown)}; it has {', '.join(target.columns)}"
        )
    missing = [name for name in target.required if name not in columns]
    if missing:
        raise ExpectedError(f"{table}: column {', '.join(missing)} must be mapped; give it an SQL expression")


def _kinds(table: MappedTable, expressions: Mapping[str, str]) -> dict[str, DataType]:
    """The type of each expression. All are checked on one plan, and nothing is read."""
    for name, sql in expressions.items():
        try:
            why = objection(table.source.sparkSession, sql, table.columns)
        except AnalysisException as error:
            raise _does_not_fit(table, name, sql, _reason(error)) from None
        if why is not None:
            raise _refused(table, name, sql, why)
    evaluated = _analysed(table, expressions)
    outputs = evaluated._jdf.queryExecution().analyzed().projectList()
    for number, (name, sql) in enumerate(expressions.items()):
        if changes(table.source.sparkSession, outputs.apply(number)):
            raise _refused(table, name, sql, CHANGES)
    return {field.name: field.dataType for field in evaluated.schema}


def _analysed(table: MappedTable, expressions: Mapping[str, str]) -> DataFrame:
    """All expressions as columns of one frame. One that does not fit is found by trying each alone."""
    try:
        evaluated = table.source.select(*(F.expr(sql).alias(name) for name, sql in expressions.items()))
        wrong = None if _is_row_by_row(evaluated, table.source, expressions) else f"does not give {ONE_VALUE}"
    except (PySparkException, Py4JJavaError) as error:
        wrong = _reason(error)
    if wrong is None:
        return evaluated
    if len(expressions) > 1:
        for name, sql in expressions.items():
            _analysed(table, {name: sql})
    name, sql = next(iter(expressions.items()))
    raise _does_not_fit(table, name, sql, wrong)


def _is_row_by_row(evaluated: DataFrame, source: DataFrame, expressions: Mapping[str, str]) -> bool:
    """Whether Spark's plan is one column for each expression over the table as it is."""
    plan = evaluated._jdf.queryExecution().analyzed()
    return (
        evaluated.columns == list(expressions)
        and plan.nodeName() == "Project"
        and plan.child().equals(source._jdf.queryExecution().analyzed())
    )


def _check_type(table: MappedTable, name: str, kind: DataType) -> None:
    wanted, found, sql = table.target.columns[name], kind.typeName(), table.mapping.columns[name]
    if found not in {*ACCEPTED[wanted], "void"} or (name.endswith("_id") and found == "boolean"):
        accepted = ", ".join(sorted(ACCEPTED[wanted]))
        why = f"is {kind.simpleString()}, which cannot become {wanted}; it may be {accepted}"
        raise _refused(table, name, sql, why)
    if wanted == "TIMESTAMP" and found == "timestamp" and table.mapping.time_zone is None:
        why = (
            "is timestamp, which does not tell its time zone; give the mapping a time_zone (UTC where the values are "
            "instants)"
        )
        raise _refused(table, name, sql, why)


def _place(table: MappedTable, name: str, sql: str) -> str:
    return f"{table.target.table.name}.{name} from {table.mapping.read.name}: {sql!r}"


def _refused(table: MappedTable, name: str, sql: str, why: str) -> ExpectedError:
    return ExpectedError(f"{_place(table, name, sql)} {why}")


def _does_not_fit(table: MappedTable, name: str, sql: str, why: str) -> ExpectedError:
    columns = ", ".join(f"{column} {kind}" for column, kind in table.source.dtypes if column != MALFORMED_ROW)
    return _refused(table, name, sql, f"{why}; the table has: {columns}")


def _reason(error: Exception) -> str:
    if isinstance(error, AnalysisException) and (error.getCondition() or "").startswith("UNRESOLVED_COLUMN"):
        return f"names {(error.getMessageParameters() or {}).get('objectName')}, which is not there"
    return f"is not valid here ({first_line(error)})"
