"""Maps a source table to a contract table: evaluates the SQL expressions, converts types, fills what is left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from ulvspark.contract import schema
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source import TableMapping
from ulvspark.intake.identity import canonical_id

_TEXTS = {"string", "varchar", "char"}
_INTEGERS = {"byte", "short", "integer", "long"}
_NUMBERS = _INTEGERS | {"float", "double", "decimal"}
_LOCAL_TIMES = {"timestamp_ntz", "date", *_TEXTS}

ACCEPTED = {
    "STRING": _TEXTS | _NUMBERS | {"boolean", "date", "timestamp", "timestamp_ntz"},
    schema.MONEY: _TEXTS | _NUMBERS,
    "TIMESTAMP": _LOCAL_TIMES | {"timestamp"},
    "DATE": _LOCAL_TIMES | {"timestamp"},
    "MAP<STRING, STRING>": {"map"},
}
"""For each contract type, the types of source values (by Spark's names) that can be converted to it."""

_INSTANT_TEXT = r":\d\d.*([A-Za-z]|[+-]\d)"
"""Text with a zone after the time: ``Z``, an offset of any length, or a name."""


@dataclass(frozen=True)
class Target:
    """A contract table and its columns that may be mapped, with their types, and those that must be."""

    table: schema.Table
    columns: Mapping[str, str]
    required: tuple[str, ...]


def _target(table: schema.Table, made: tuple[str, ...], required: tuple[str, ...], **extra: str) -> Target:
    columns = {column.name: column.type for column in table.columns if column.name not in made}
    return Target(table, columns | extra, required)


EVENTS_TARGET = _target(
    schema.EVENTS,
    (*schema.STAMPED, "content_hash"),
    ("user_id", "event_time", "event_type"),
    discount=schema.MONEY,
    currency="STRING",
)
"""``discount`` is money off the whole row, for sources without a list price; ``currency`` is the code of a row."""
PRODUCTS_TARGET = _target(schema.PRODUCTS, ("text_hash",), ("product_id",))
USERS_TARGET = _target(schema.USERS, (), ("user_id",))


def map_table(source: DataFrame, mapping: TableMapping, target: Target, time_zone: str) -> DataFrame:
    """Rows of ``source`` as ``target``'s columns (null where unmapped).

    Further columns: ``unparsable`` (the first column with a value that its type cannot hold), ``latest`` (the value of
    the mapping's latest_by, else null), and ``source_row`` (a struct of the whole row).
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
    return _typed(_selected(rows, mapping, target), kinds, target, mapping.time_zone or time_zone)


def _selected(rows: DataFrame, mapping: TableMapping, target: Target) -> DataFrame:
    try:
        return rows.select(
            *(F.expr(sql).alias(name) for name, sql in mapping.columns.items()),
            F.expr(mapping.latest_by or "NULL").alias("latest"),
            F.struct("*").alias("source_row"),
        )
    except AnalysisException as error:
        # Each is valid by itself, but count() gives one value for all rows, and explode() several rows for one.
        place = f"{target.table.name} from {mapping.read.name}"
        raise ExpectedError(
            f"{place}: the expressions do not go together, as each must give one value a row ({_first_line(error)})"
        ) from None


def _typed(raw: DataFrame, kinds: Mapping[str, DataType], target: Target, time_zone: str) -> DataFrame:
    columns: list[Column] = []
    unparsable: list[Column] = []
    for name, wanted in target.columns.items():
        if name not in kinds:
            columns.append(F.lit(None).cast(wanted).alias(name))
            continue
        given = _blank_as_null(F.col(name), kinds[name])
        value = _convert(given, name, kinds[name], wanted, time_zone)
        columns.append(value.alias(name))
        if wanted != "STRING":
            unparsable.append(F.when(given.isNotNull() & value.isNull(), F.lit(name)))
    first = F.coalesce(*unparsable, F.lit(None).cast("string"))
    return raw.select(*columns, first.alias("unparsable"), "latest", "source_row")


def _convert(value: Column, name: str, kind: DataType, wanted: str, time_zone: str) -> Column:
    if name.endswith("_id"):
        return canonical_id(value, kind)
    if name == "event_type":
        return F.lower(value)
    if name == "currency":
        return F.upper(value)
    if wanted == "TIMESTAMP":
        return _instant(value, kind, time_zone)
    if wanted.startswith("MAP"):
        return _sorted_map(value.cast(wanted))
    return value.cast(wanted)


def _blank_as_null(value: Column, kind: DataType) -> Column:
    return F.nullif(F.trim(value), F.lit("")) if kind.typeName() in _TEXTS else value


def _instant(value: Column, kind: DataType, time_zone: str) -> Column:
    """The UTC instant of a local time in ``time_zone``; text with an offset of its own is an instant already."""
    if kind.typeName() not in _TEXTS:
        return F.to_utc_timestamp(value.cast("timestamp"), time_zone)
    local = F.to_utc_timestamp(value.cast("timestamp_ntz").cast("timestamp"), time_zone)
    return F.when(value.rlike(_INSTANT_TEXT), value.cast("timestamp")).otherwise(local)


def _sorted_map(value: Column) -> Column:
    """Entries in the order of their keys, without null values, so that equal maps are written alike."""
    return F.map_from_entries(F.array_sort(F.map_entries(F.map_filter(value, lambda _, held: held.isNotNull()))))


def complete_events(mapped: DataFrame, time_zone: str, clock: datetime) -> DataFrame:
    """Fill what follows from other columns (quantity, amount, list price, order), and ``ingested_at``."""
    is_trade = F.col("event_type").isin("purchase", "return")
    quantity = F.coalesce("quantity", F.when(~is_trade, F.lit(1)).cast(schema.MONEY))
    filled = mapped.withColumn("quantity", quantity)
    before_discount = F.col("unit_price") + F.col("discount") / F.col("quantity")
    paid = F.col("quantity") * F.col("unit_price")
    local_day = F.date_format(F.from_utc_timestamp("event_time", time_zone), "yyyy-MM-dd")
    return filled.withColumns(
        {
            "list_price": F.coalesce("list_price", before_discount.cast(schema.MONEY)),
            "amount": F.coalesce("amount", paid.cast(schema.MONEY)),
            "order_id": F.coalesce("order_id", F.concat_ws("/", "user_id", local_day)),
            "ingested_at": F.lit(clock),
        }
    )


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
