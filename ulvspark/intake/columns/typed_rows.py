"""Converts what a mapping's expressions give to the contract's types, in one form for each value."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from ulvspark.intake.columns.targets import TEXTS, Target
from ulvspark.intake.identity import canonical_id

_INSTANT_TEXT = r":\d\d.*([A-Za-z]|[+-]\d)"
"""Text with a zone after the time: ``Z``, an offset of any length, or a name."""


def typed_rows(raw: DataFrame, kinds: Mapping[str, DataType], target: Target, time_zone: str) -> DataFrame:
    """``raw`` (``expressions.Evaluated``, with ``kinds``) as ``target``'s columns, null where unmapped.

    Further columns: ``unparsable`` (the first column with a value that its type cannot hold), ``latest`` and
    ``source_row``. Local times are those of ``time_zone``.
    """
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
    return F.nullif(F.trim(value), F.lit("")) if kind.typeName() in TEXTS else value


def _instant(value: Column, kind: DataType, time_zone: str) -> Column:
    """The UTC instant of a local time in ``time_zone``; text with an offset of its own is an instant already."""
    if kind.typeName() not in TEXTS:
        return F.to_utc_timestamp(value.cast("timestamp"), time_zone)
    local = F.to_utc_timestamp(value.cast("timestamp_ntz").cast("timestamp"), time_zone)
    return F.when(value.rlike(_INSTANT_TEXT), value.cast("timestamp")).otherwise(local)


def _sorted_map(value: Column) -> Column:
    """Entries in the order of their keys, without null values, so that equal maps are written alike."""
    return F.map_from_entries(F.array_sort(F.map_entries(F.map_filter(value, lambda _, held: held.isNotNull()))))
