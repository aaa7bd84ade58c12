"""Checks the SQL expressions of a mapping against its source table, and evaluates them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source import TableMapping
from ulvspark.intake.columns.named_values import gives_null_in_spite_of_values
from ulvspark.intake.columns.targets import ACCEPTED, Target


@dataclass(frozen=True)
class Evaluated:
    """The expressions of a mapping as columns, not yet in the contract's types."""

    rows: DataFrame
    """A column for each mapped one, ``failed_COLUMN`` for each of ``Target.needed`` (whether its expression gave null
    in spite of its values), ``latest`` (the value of latest_by, else null) and ``source_row`` (a struct of the row)."""
    kinds: Mapping[str, DataType]
    """The type that each mapped column has in ``rows``."""


def evaluate(source: DataFrame, mapping: TableMapping, target: Target, missing_words: Sequence[str]) -> Evaluated:
    """The rows of ``source`` that pass the mapping's filter, with the mapping's expressions.

    Raises ExpectedError for an unknown or missing contract column, for an expression that is not valid or names a
    column which the source lacks, and for a type that cannot be converted.
    """
    _check_names(mapping, target)
    rows = source if mapping.filter is None else _filtered(source, mapping, target)
    kinds = {name: _type_of(source, sql, name, mapping, target) for name, sql in mapping.columns.items()}
    if mapping.latest_by is not None:
        _type_of(source, mapping.latest_by, "latest_by", mapping, target)
    for name, kind in kinds.items():
        _check_type(kind, name, mapping, target)
    failed = {name: _failed(source, mapping.columns.get(name), missing_words) for name in target.needed}
    return Evaluated(_selected(rows, mapping, target, failed), kinds)


def _failed(source: DataFrame, sql: str | None, missing_words: Sequence[str]) -> Column:
    failed = None if sql is None else gives_null_in_spite_of_values(source, sql, missing_words)
    return F.lit(False) if failed is None else failed


def _selected(rows: DataFrame, mapping: TableMapping, target: Target, failed: Mapping[str, Column]) -> DataFrame:
    try:
        return rows.select(
            *(F.expr(sql).alias(name) for name, sql in mapping.columns.items()),
            *(column.alias(f"failed_{name}") for name, column in failed.items()),
            F.expr(mapping.latest_by or "NULL").alias("latest"),
            F.struct("*").alias("source_row"),
        )
    except AnalysisException as error:
        # Each is valid by itself, but count() gives one value for all rows, and explode() several rows for one.
        place = f"{target.table.name} from {mapping.read.name}"
        raise ExpectedError(
            f"{place}: the expressions do not go together, as each must give one value a row ({_first_line(error)})"
        ) from None


def _check_names(mapping: TableMapping, target: Target) -> None:
    place = f"{target.table.name} from {mapping.read.name}"
    unknown = [name for name in mapping.columns if name not in target.columns]
    if unknown:
        raise ExpectedError(
            f"{place}: the contract has no column {', '.join(unknown)}; it has {', '.join(target.columns)}"
        )
    missing = [name for name in target.required if name not in mapping.columns]
    if missing:
        raise ExpectedError(f"{place}: column {', '.join(missing)} must be mapped; give it an SQL expression")


def _filtered(source: DataFrame, mapping: TableMapping, target: Target) -> DataFrame:
    condition = mapping.filter or "true"
    kind = _type_of(source, condition, "filter", mapping, target).typeName()
    if kind != "boolean":
        raise _mapping_error(source, mapping, target, "filter", condition, f"is {kind}, not a condition")
    try:
        return source.where(condition)
    except AnalysisException as error:
        raise _mapping_error(source, mapping, target, "filter", condition, _reason(error)) from None


def _type_of(source: DataFrame, sql: str, name: str, mapping: TableMapping, target: Target) -> DataType:
    """The type of an expression over ``source``."""
    try:
        return source.select(F.expr(sql)).schema[0].dataType
    except AnalysisException as error:
        raise _mapping_error(source, mapping, target, name, sql, _reason(error)) from None


def _check_type(kind: DataType, name: str, mapping: TableMapping, target: Target) -> None:
    wanted, found, sql = target.columns[name], kind.typeName(), mapping.columns[name]
    place = f"{target.table.name}.{name} from {mapping.read.name}"
    if found not in {*ACCEPTED[wanted], "void"} or (name.endswith("_id") and found == "boolean"):
        raise ExpectedError(
            f"{place}: {sql!r} is {kind.simpleString()}, which cannot become {wanted}; it may be "
            f"{', '.join(sorted(ACCEPTED[wanted]))}"
        )
    if wanted == "TIMESTAMP" and found == "timestamp" and mapping.time_zone is None:
        raise ExpectedError(
            f"{place}: {sql!r} is timestamp, which does not tell its time zone; give the mapping a time_zone "
            "(UTC where the values are instants)"
        )


def _mapping_error(
    source: DataFrame, mapping: TableMapping, target: Target, name: str, sql: str, why: str
) -> ExpectedError:
    columns = ", ".join(f"{column} {kind}" for column, kind in source.dtypes)
    return ExpectedError(
        f"{target.table.name}.{name} from {mapping.read.name}: {sql!r} {why}; the table has: {columns}"
    )


def _reason(error: AnalysisException) -> str:
    if (error.getCondition() or "").startswith("UNRESOLVED_COLUMN"):
        return f"names {(error.getMessageParameters() or {}).get('objectName')}, which is not there"
    return f"is not valid here ({_first_line(error)})"


def _first_line(error: AnalysisException) -> str:
    return str(error).splitlines()[0].strip()
