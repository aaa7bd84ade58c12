"""Local days: the instant at which a date begins, and the date on which an instant falls."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from pyspark.sql import Column
from pyspark.sql import functions as F


def local_midnight(day: date, time_zone: str) -> datetime:
    """The first instant of ``day`` in ``time_zone``, in UTC."""
    return datetime.combine(day, time(), ZoneInfo(time_zone)).astimezone(UTC)


def local_day(instant: str, time_zone: str) -> Column:
    """The local date of a timestamp column, as whole days since 1970-01-01. The Spark session must be in UTC."""
    return F.unix_date(F.to_date(F.from_utc_timestamp(F.col(instant), time_zone)))
