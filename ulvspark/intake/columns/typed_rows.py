"""Converts what a mapping's expressions give to the contract's types, and notes what is wrong with a value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, FloatType, StringType

from ulvspark.contract import schema
from ulvspark.contract.source.source import SourceConfig, TableMapping
from ulvspark.intake.columns.event_types import event_type
from ulvspark.intake.columns.expressions import Evaluated
from ulvspark.intake.columns.ids import canonical_id, is_inexact, may_vary
from ulvspark.intake.columns.numbers import has_lost_digits, is_larger, loses_digits
from ulvspark.intake.columns.targets import TEXTS, Target
from ulvspark.intake.columns.texts import is_damaged, is_missing_word, trimmed
from ulvspark.intake.columns.times import day, instant
from ulvspark.intake.judging import notes
from ulvspark.intake.judging.quarantine import AMOUNT_TOO_LARGE, DAMAGED, INEXACT, UNPARSABLE

_GIVEN = "given_"


@dataclass(frozen=True)
class MappedColumn:
    """A column that a mapping gives: its name, its type in the source (after ``values``), and in the contract."""

    name: str
    kind: DataType
    wanted: str

    @property
    def is_id(self) -> bool:
        return self.name.endswith("_id")

    @property
    def is_text(self) -> bool:
        return self.kind.typeName() in TEXTS

    @property
    def given(self) -> Column:
        """What the source has: trimmed text, or a value of another type; null for blank text and for a double's NaN."""
        return F.col(f"{_GIVEN}{self.name}")


def typed_rows(evaluated: Evaluated, mapping: TableMapping, target: Target, source: SourceConfig) -> DataFrame:
    """``evaluated`` as ``target``'s columns, null where unmapped.

    Further columns: ``fault`` (the first reason for quarantine that a single value gives), ``notes``
    (``intake.notes``), ``failed_COLUMN`` as in ``Evaluated``, ``latest`` and ``source_row``.
    """
    columns = [
        MappedColumn(name, StringType() if name in mapping.values else kind, target.columns[name])
        for name, kind in evaluated.kinds.items()
    ]
    rest = [name for name in evaluated.rows.columns if name not in mapping.columns]
    # In steps, so that Spark computes each value once and not wherever the next step names it.
    given = evaluated.rows.select(
        *(_given(each, mapping.values.get(each.name)).alias(f"{_GIVEN}{each.name}") for each in columns), *rest
    )
    time_zone = mapping.time_zone or source.time_zone
    typed = given.select("*", *(_convert(each, source, time_zone).alias(each.name) for each in columns))
    unmapped = {name: kind for name, kind in target.columns.items() if name not in mapping.columns}
    return typed.select(
        *mapping.columns,
        *(F.lit(None).cast(kind).alias(name) for name, kind in unmapped.items()),
        _first_fault(columns, target, source).alias("fault"),
        _notes(columns, target, source).alias("notes"),
        *rest,
    )


def _given(column: MappedColumn, values: Mapping[str, str | None] | None) -> Column:
    value = F.col(column.name)
    if values is not None:
        value = _translated(trimmed(value.cast("string")), values)
    if column.is_text:
        return trimmed(value)
    if isinstance(column.kind, DoubleType | FloatType):
        return F.when(~F.isnan(value), value)
    return value


def _translated(value: Column, values: Mapping[str, str | None]) -> Column:
    replaced = value
    for old, new in values.items():
        replaced = F.when(value == old, F.lit(new)).otherwise(replaced)
    return replaced


def _convert(column: MappedColumn, source: SourceConfig, time_zone: str) -> Column:
    value = column.given
    if column.is_id:
        return canonical_id(value, column.kind, source.missing_words, source.ids)
    own_ways: dict[str, Callable[[], Column]] = {
        "event_type": lambda: event_type(value.cast("string")),
        "currency": lambda: F.when(~is_missing_word(value, source.missing_words), F.upper(value)),
        "TIMESTAMP": lambda: instant(value, column.kind, time_zone),
        "DATE": lambda: day(value, column.kind),
        "MAP<STRING, STRING>": lambda: _sorted_map(value.cast(column.wanted)),
    }
    way = own_ways.get(column.name) or own_ways.get(column.wanted)
    return way() if way else value.cast(column.wanted)


def _sorted_map(value: Column) -> Column:
    """Entries in the order of their keys, without null values, so that equal maps are written alike."""
    return F.map_from_entries(F.array_sort(F.map_entries(F.map_filter(value, lambda _, held: held.isNotNull()))))


def _first_fault(columns: list[MappedColumn], target: Target, source: SourceConfig) -> Column:
    """The first fault of a value; those of the table's first required column (its user or product) come first."""
    ordered = sorted(columns, key=lambda column: column.name != target.required[0])
    faults = [fault for column in ordered for fault in _faults(column, target, source)]
    return F.coalesce(*faults, F.lit(None).cast("string"))


def _faults(column: MappedColumn, target: Target, source: SourceConfig) -> list[Column]:
    faults = []
    if column.name in target.required:
        faults.append(F.when(F.col(f"failed_{column.name}"), F.lit(f"{UNPARSABLE}{column.name}")))
    if column.is_id:
        faults.append(F.when(is_inexact(column.given, column.kind), F.lit(f"{INEXACT}{column.name}")))
        if column.is_text:
            faults.append(F.when(is_damaged(column.given), F.lit(f"{DAMAGED}{column.name}")))
    elif column.wanted != "STRING":
        faults.append(_conversion_fault(column, source))
    return faults


def _conversion_fault(column: MappedColumn, source: SourceConfig) -> Column:
    lost = column.given.isNotNull() & F.col(column.name).isNull()
    if column.is_text:
        lost = lost & ~is_missing_word(column.given, source.missing_words)
    reason = F.lit(f"{UNPARSABLE}{column.name}")
    if column.wanted == schema.MONEY:
        too_large = is_larger(column.given, source.limits.largest_amount)
        reason = F.when(too_large, AMOUNT_TOO_LARGE).otherwise(reason)
    return F.when(lost, reason)


def _notes(columns: list[MappedColumn], target: Target, source: SourceConfig) -> Column:
    conditions, mapped = {}, [column.name for column in columns]
    for column in columns:
        value = F.col(column.name)
        if column.wanted == schema.MONEY and loses_digits(column.kind):
            conditions[f"{notes.LOST_PRECISION}{column.name}"] = has_lost_digits(value, column.given)
        if column.is_id:
            conditions[f"{notes.VARIABLE}{column.name}"] = may_vary(value, source.ids)
        elif column.wanted == "STRING":
            conditions[f"{notes.DAMAGED}{column.name}"] = is_damaged(value)
        elif column.wanted.startswith("MAP"):
            conditions[f"{notes.DAMAGED}{column.name}"] = F.exists(F.map_values(value), is_damaged)
    if "event_id" in target.columns:
        conditions[notes.MADE_ID] = F.col("event_id").isNull() if "event_id" in mapped else F.lit(True)
    known = notes.NOTES[target.table.name]
    return notes.note_bits(target.table.name, {note: holds for note, holds in conditions.items() if note in known})
