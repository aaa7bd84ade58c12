"""All events of whole users as flat arrays: one user after another, each user's newest event first.

A whole number that is not known is null in tables and, in arrays, the least number of the array's width. All that
converts between these is here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

UNKNOWN = int(np.iinfo(np.int64).min)
"""What stands in an array of 64 bits for a whole number that is not known."""

USER_FACTOR = -7046029254386353131
"""Odd, and near 2^64 over the golden ratio (as 64 bits with a sign), which keeps its multiples far apart."""

USER_COLUMNS = ("user_id", "known", "signup", "profile_key", "profile")
"""Columns that describe a user, not an event; ``profile`` where words are read."""

ROWS_AT_ONCE = 100_000
"""Rows that are worked on at once, at least: enough that the cost of a call does not show."""


def is_known(values: np.ndarray) -> Mask:
    """Where whole numbers of any width are known."""
    known: Mask = values != np.iinfo(values.dtype).min
    return known


def fill_unknown(values: np.ndarray, replacement: int) -> np.ndarray:
    """Whole numbers of any width, with another number in place of what is not known."""
    return np.where(is_known(values), values, np.array(replacement, values.dtype))


def to_width(values: np.ndarray, kind: np.dtype) -> np.ndarray:
    """The same whole numbers in another width, which must be wide enough for all that are known."""
    return np.where(is_known(values), values, np.array(np.iinfo(kind).min, kind)).astype(kind)


def from_arrow(column: pa.Array) -> Ints:
    """A column of whole numbers as 64 bits, ``UNKNOWN`` where it is null."""
    values: Ints = pc.fill_null(column.cast(pa.int64()), UNKNOWN).to_numpy()
    return values


def to_arrow(values: Ints, kind: pa.DataType) -> pa.Array:
    """Whole numbers as a column, null where one is not known."""
    return pa.array(fill_unknown(values, 0), mask=~is_known(values)).cast(kind)


def whole_users(batches: Iterable[pa.RecordBatch], rows: int = ROWS_AT_ONCE) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of at least ``rows`` that end where a user ends; the last batch may be smaller.

    Rows of one ``user_hash`` follow each other in ``batches``.
    """
    kept: list[pa.RecordBatch] = []
    for batch in batches:
        if not len(batch):
            continue
        users = batch.column("user_hash")
        last_user = pc.index(users, users[-1]).as_py()
        can_end = last_user > 0 or (kept and kept[-1].column("user_hash")[-1] != users[0])
        if can_end and sum(map(len, kept)) + last_user >= rows:
            yield pa.concat_batches([*kept, batch.slice(0, last_user)])
            kept, batch = [], batch.slice(last_user)  # noqa: PLW2901 - what is left of it
        kept.append(batch)
    if kept:
        yield pa.concat_batches(kept)


def newest_first(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Rows user by user: the row of the user, then events by time and id, the newest first.

    Grouped by ``user_id``, since two users may share a hash. Users come in the order of their first rows.
    """
    user = rows.column("user_id").dictionary_encode().indices
    # The row of the user has no time and comes first.
    time = pc.fill_null(rows.column("event_time"), np.iinfo(np.int64).max)
    keys = pa.record_batch({"user": user, "time": time, "event": rows.column("event_id")})
    order = pc.sort_indices(keys, [("user", "ascending"), ("time", "descending"), ("event", "descending")])
    return rows.drop_columns(["event_time", "event_id", "user_hash"]).take(order)


@dataclass(frozen=True)
class Timelines:
    """The events of n users, e events in all."""

    users: pa.RecordBatch
    """n rows of ``USER_COLUMNS``."""
    events: dict[str, Ints]
    """Whole numbers of the events by name, (e,) each."""
    starts: Ints
    """(n + 1,): user i has the events [starts[i], starts[i + 1])."""
    words: pa.RecordBatch | None = None
    """e rows: the words of the events, where they are read."""

    @classmethod
    def from_rows(cls, rows: pa.RecordBatch) -> Self:
        """From rows of whole users, in the order of ``newest_first``."""
        ids, is_event = rows.column("user_id"), pc.is_valid(rows.column("event_type"))
        begins = np.append(True, pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False))
        first = np.flatnonzero(begins)
        events = np.add.reduceat(is_event.to_numpy(zero_copy_only=False).astype(np.int64), first)
        users = rows.select([name for name in USER_COLUMNS if name in rows.schema.names])
        numbers, words = _numbers_and_words(rows.drop_columns(users.schema.names), is_event)
        return cls(users.take(pa.array(first)), numbers, np.append(0, np.cumsum(events)), words)

    def before(self, day: int) -> "Timelines":
        """The same users, with only the events on days before ``day``, and without words."""
        kept = self.day < day
        if kept.all():
            return self
        starts = np.append(0, np.cumsum(self.count(kept)))
        return Timelines(self.users, {name: values[kept] for name, values in self.events.items()}, starts)

    @property
    def size(self) -> int:
        """The number of events, e."""
        return int(self.starts[-1])

    @property
    def lengths(self) -> Ints:
        """(n,) number of events of each user."""
        return np.diff(self.starts)

    @cached_property
    def user(self) -> Ints:
        """(e,) the number of the event's user."""
        return np.repeat(np.arange(len(self.users)), self.lengths)

    @cached_property
    def position(self) -> Ints:
        """(e,) the place among the user's events: 0 at the newest."""
        return np.arange(self.size) - self.starts[self.user]

    @property
    def day(self) -> Ints:
        """(e,) local days since 1970-01-01."""
        return self.events["day"]

    def total(self, values: Ints, where: Mask) -> Ints:
        """(n,) exact sums of the known values over the events of ``where``."""
        so_far: Ints = np.append(0, np.cumsum(np.where(where & is_known(values), values, 0)))
        return so_far[self.starts[1:]] - so_far[self.starts[:-1]]

    def count(self, where: Mask) -> Ints:
        """(n,) number of events of ``where``."""
        return self.total(where.astype(np.int64), where)

    def newest_of_each(self, values: Ints, where: Mask) -> Mask:
        """(e,) of the events of ``where``, the newest with each value of a user; ``UNKNOWN`` is a value, too."""
        rows = np.flatnonzero(where)
        repeated = pd.Series(self.by_user(values)[rows]).duplicated()
        mask = np.zeros(self.size, dtype=np.bool_)
        mask[rows[~repeated.to_numpy()]] = True
        return mask

    def by_user(self, values: Ints) -> Ints:
        """(e,) numbers that stand for pairs of user and value: to hash them takes a quarter of the time of pairs.

        Of a million pairs two share a number once in 37 million times, as two hashed ids do.
        """
        return values ^ (self.user * USER_FACTOR)

    def newest_of_each_day(self, where: Mask) -> Mask:
        """(e,) of the events of ``where``, the newest of each day of a user."""
        rows = np.flatnonzero(where)
        later = (np.diff(self.user[rows]) != 0) | (np.diff(self.day[rows]) != 0)
        mask = np.zeros(self.size, dtype=np.bool_)
        mask[rows[np.append(True, later)[: len(rows)]]] = True
        return mask

    def order_ordinals(self) -> Ints:
        """(e,) numbers of orders, of each user from 0 at the newest; ``UNKNOWN`` for an event without one."""
        orders = self.events["order"]
        rows = np.flatnonzero(is_known(orders))
        # Numbered as they appear, so those of a user follow each other, and the first is the user's least.
        numbers, _ = pd.factorize(self.by_user(orders)[rows])
        users, first = np.unique(self.user[rows], return_index=True)
        least = np.zeros(len(self.users), np.int64)
        least[users] = numbers[first]
        ordinals = np.full(len(orders), UNKNOWN)
        ordinals[rows] = numbers - least[self.user[rows]]
        return ordinals


def _numbers_and_words(
    rows: pa.RecordBatch, is_event: pa.BooleanArray
) -> tuple[dict[str, Ints], pa.RecordBatch | None]:
    """Of the rows that are events: the columns of whole numbers, and those of words."""
    words = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    numbers = {name: from_arrow(rows.column(name).filter(is_event)) for name in rows.schema.names if name not in words}
    return numbers, rows.select(words).filter(is_event) if words else None


def day_number(day: date) -> int:
    """Whole days since 1970-01-01, as ``Timelines.day`` counts them."""
    return (day - date(1970, 1, 1)).days
