"""Dates that people write, in configuration and on command lines, within what the code can compute."""

from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from ulvspark.contract.errors import ExpectedError

FIRST_DATE, LAST_DATE = date(1970, 1, 1), date(2199, 12, 31)
"""Any date that is given lies between these. Moved by ``Days`` it is still a date that Python, Java and pandas have."""


def parse_date(text: str) -> date:
    """An ISO date from the command line, within ``FIRST_DATE`` and ``LAST_DATE``. Raises ExpectedError."""
    try:
        return _day(text)
    except ValueError as error:
        raise ExpectedError(f"{text!r} {error}") from None


def parse_time(text: str) -> datetime:
    """An ISO time from the command line, in UTC where it names no zone, on a day as in ``parse_date``.

    Raises ExpectedError.
    """
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ExpectedError(f"{text!r} is not a time; write it as 2026-01-31T00:00:00 (UTC)") from None
    parse_date(given.date().isoformat())
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _day(value: object) -> date:
    # Not pydantic's own way, which takes a number such as 20260301 for seconds since 1970.
    if isinstance(value, date) and not isinstance(value, datetime):
        day = value
    else:
        try:
            day = date.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            raise ValueError("is not a date; write it as YYYY-MM-DD") from None
    if not FIRST_DATE <= day <= LAST_DATE:
        raise ValueError(f"lies outside {FIRST_DATE} to {LAST_DATE}; correct the date")
    return day


Day = Annotated[date, BeforeValidator(_day)]
"""A date in configuration, within ``FIRST_DATE`` and ``LAST_DATE``."""

Days = Annotated[int, Field(ge=1, le=36_500)]
"""A number of days in configuration: at most a hundred years."""
