"""Times as instants: local times by their zone, text only where it names a whole day."""

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from ulvspark.intake.columns.targets import TEXTS

_INSTANT_TEXT = r":\d\d.*([A-Za-z]|[+-]\d)"
"""Text with a zone after the time: ``Z``, an offset of any length, or a name."""

_FIRST, _LAST = "TIMESTAMP '-9999-01-01 00:00:00'", "TIMESTAMP '+10000-01-01 00:00:00'"
"""Outside these years a change of time zone overflows."""


def instant(given: Column, kind: DataType, time_zone: str) -> Column:
    """The UTC instant of a local time in ``time_zone``; text with an offset of its own is an instant already."""
    if kind.typeName() not in TEXTS:
        local = given.cast("timestamp")
        return F.when(local.between(F.expr(_FIRST), F.expr(_LAST)), F.to_utc_timestamp(local, time_zone))
    local = F.to_utc_timestamp(given.cast("timestamp_ntz").cast("timestamp"), time_zone)
    value = F.when(given.rlike(_INSTANT_TEXT), given.cast("timestamp")).otherwise(local)
    return F.when(_names_a_day(given), value)


def day(given: Column, kind: DataType) -> Column:
    """The date of a time, or of text that names a whole day."""
    value = given.cast("date")
    return F.when(_names_a_day(given), value) if kind.typeName() in TEXTS else value


def _names_a_day(text: Column) -> Column:
    """Whether text begins like 2024-01-31: Spark would read 2024 as its first of January, and 12:30Z as today."""
    return (F.substring(text, 5, 1) == "-") & (F.locate("-", text, 6) > 0)
