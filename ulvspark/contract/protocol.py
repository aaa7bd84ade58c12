"""The dates that a model is trained and judged on: fixed in a source's YAML, or rolling on with the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, model_validator

from ulvspark.contract.config import Strict, validate
from ulvspark.contract.dates import Day, Days
from ulvspark.contract.errors import ExpectedError

ONE_DAY = timedelta(days=1)


class Protocol(Strict):
    """Dates of training and testing. A label window is [as_of, as_of + horizon_days)."""

    horizon_days: Days
    training_origins: tuple[Day, ...] = Field(min_length=1)
    validation_cut: Day
    """Models are chosen on users as of this date."""
    test_cut: Day
    """The final report is on users as of this date; nothing is chosen on it."""

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.closes(self.validation_cut) > self.test_cut:
            raise ValueError("the label window of validation_cut must close by test_cut")
        if not self.origins_closed_by(self.validation_cut):
            raise ValueError("no training origin's label window closes by validation_cut")
        return self

    def closes(self, as_of: date) -> date:
        """The first date after the label window of ``as_of``."""
        return as_of + timedelta(days=self.horizon_days)

    def origins_closed_by(self, cut: date) -> tuple[date, ...]:
        """Training origins, and the validation cut, whose label windows had closed by ``cut``."""
        origins = {*self.training_origins, self.validation_cut}
        return tuple(sorted(origin for origin in origins if self.closes(origin) <= cut))

    @property
    def dates(self) -> tuple[date, ...]:
        """Every date that a training set needs rows for."""
        return tuple(sorted({*self.training_origins, self.validation_cut, self.test_cut}))

    def __str__(self) -> str:
        """The dates in a few words, for people."""
        origins = ", ".join(origin.isoformat() for origin in sorted(self.training_origins))
        return (
            f"training origins {origins}; validation cut {self.validation_cut}; test cut {self.test_cut}; "
            f"{self.horizon_days} days ahead of each"
        )


class RollingProtocol(Strict):
    """Dates that move with the data, so that each training learns from the newest windows."""

    horizon_days: Days
    origin_every_days: int = Field(ge=1, le=366)
    origins: int = Field(ge=1, le=1000)
    """How many training origins; the label windows of all of them close by the validation cut."""

    def as_of(self, day: date) -> Protocol:
        """The dates when nothing at or after ``day`` is known: each cut is the newest whose window has closed by then.

        The test cut's window closes by ``day``, the validation cut's by the test cut, and the newest training origin's
        by the validation cut; the other origins lie before it.
        """
        horizon, step = timedelta(days=self.horizon_days), timedelta(days=self.origin_every_days)
        newest = day - 3 * horizon
        content = {
            "horizon_days": self.horizon_days,
            "training_origins": [newest - number * step for number in reversed(range(self.origins))],
            "validation_cut": newest + horizon,
            "test_cut": newest + 2 * horizon,
        }
        return validate(Protocol, content, f"rolling dates as of {day}")


FIXED, ROLLING = "(fixed dates)", "(rolling dates)"


def _kind(value: object) -> str:
    """Which protocol a mistake is told of: one that has a rolling protocol's keys is taken for one."""
    if isinstance(value, RollingProtocol):
        return ROLLING
    own_keys = {"origin_every_days", "origins"}
    return ROLLING if isinstance(value, Mapping) and own_keys & value.keys() else FIXED


AnyProtocol = Annotated[
    Annotated[Protocol, Tag(FIXED)] | Annotated[RollingProtocol, Tag(ROLLING)], Discriminator(_kind)
]
"""``protocol`` in a source's YAML: fixed dates or rolling ones."""


@dataclass(frozen=True)
class EventDays:
    """The local days of the oldest and of the newest event."""

    first: date
    last: date


def training_dates(protocol: AnyProtocol, events: EventDays, today: date, as_of: date | None) -> Protocol:
    """The dates to train on when nothing at or after ``as_of`` is known.

    Without ``as_of``, rolling dates are those of the newest day whose events are surely all there: today, or the day of
    the newest event where that is before it. The day of the newest event counts as complete where dates are fixed or
    ``as_of`` is given. Raises ExpectedError where a label window reaches beyond the data or ``as_of``, or an origin
    lies before all events.
    """
    ends = events.last + ONE_DAY
    if isinstance(protocol, RollingProtocol):
        if as_of is not None and as_of > ends:
            raise ExpectedError(
                f"--as-of {as_of}: the data end on {events.last}, so not all of what happened before {as_of} is known; "
                "load newer events, or leave --as-of out"
            )
        dates = protocol.as_of(as_of or min(today, events.last))
    else:
        dates = protocol
    _check_windows_closed(dates, events.last, min(ends, as_of or ends))
    _check_events_before(dates, events.first)
    return dates


def _check_windows_closed(dates: Protocol, last_day: date, known_until: date) -> None:
    limit = f"the data end on {last_day}" if known_until > last_day else f"--as-of is {known_until}"
    for day in dates.dates:
        if dates.closes(day) > known_until:
            raise ExpectedError(
                f"the {dates.horizon_days} days from {day} reach to {dates.closes(day)}, but {limit}; move the date or "
                "shorten the horizon in the source's protocol, or give it rolling dates"
            )


def _check_events_before(dates: Protocol, first_day: date) -> None:
    early = [origin for origin in dates.dates if origin <= first_day]
    if early:
        raise ExpectedError(
            f"there is no event before {min(early)}, since the data begin on {first_day}, and {len(early)} of the "
            f"{len(dates.dates)} dates to train on lie no later; give the source's protocol fewer or later training "
            "origins, or a shorter horizon"
        )
