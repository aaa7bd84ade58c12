"""Whole users' events as flat arrays: one user after another, each one's newest event first."""

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
"""Stands in an array for a whole number that is not known."""

SPREAD = -7046029254386353131
"""Odd, and near 2^64 over the golden ratio (as 64 bits with a sign), which keeps its multiples far apart."""

OF_USERS = ("user_id", "known", "signup", "profile_key", "profile")
"""Columns that tell of a user, not of an event; ``profile`` where words are read."""

ROWS = 100_000
"""Read at once, and the rest of the last user's: enough that what a call costs does not show."""


def whole_users(batches: Iterable[pa.RecordBatch], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """The same rows in batches that end where a user ends, of ``rows`` or more; the last may be smaller.

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
    """Rows user by user: what is known of each, then events by time and id, the newest first.

    By ``user_id``, since two users may share a hash; they come in the order of their first rows.
    """
    user = rows.column("user_id").dictionary_encode().indices
    # What is known of a user has no time and comes first.
    time = pc.fill_null(rows.column("event_time"), np.iinfo(np.int64).max)
    keys = pa.record_batch({"user": user, "time": time, "event": rows.column("event_id")})
    order = pc.sort_indices(keys, [("user", "ascending"), ("time", "descending"), ("event", "descending")])
    return rows.drop_columns(["event_time", "event_id", "user_hash"]).take(order)


@dataclass(frozen=True)
class Timelines:
    """What n users did: e events in all."""

    users: pa.RecordBatch
    """n rows: what is known of each user, null where nothing is."""
    events: dict[str, Ints]
    """(e,) each: whole numbers by name, ``UNKNOWN`` where one is not known."""
    starts: Ints
    """(n + 1,): user i did the events [starts[i], starts[i + 1])."""
    words: pa.RecordBatch | None = None
    """e rows: the words of events, where they are read."""

    @classmethod
    def from_rows(cls, rows: pa.RecordBatch) -> Self:
        """From what ``newest_first`` gives of whole users."""
        ids, is_event = rows.column("user_id"), pc.is_valid(rows.column("event_type"))
        begins = np.append(True, pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False))
        first = np.flatnonzero(begins)
        events = np.add.reduceat(is_event.to_numpy(zero_copy_only=False).astype(np.int64), first)
        users = rows.select([name for name in OF_USERS if name in rows.schema.names])
        numbers, words = _numbers_and_words(rows.drop_columns(users.schema.names), is_event)
        return cls(users.take(pa.array(first)), numbers, np.append(0, np.cumsum(events)), words)

    def before(self, day: int) -> "Timelines":
        """The same users, with what they did on days before ``day`` alone, without words."""
        kept = self.day < day
        if kept.all():
            return self
        starts = np.append(0, np.cumsum(self.count(kept)))
        return Timelines(self.users, {name: values[kept] for name, values in self.events.items()}, starts)

    @property
    def size(self) -> int:
        """e."""
        return int(self.starts[-1])

    @property
    def lengths(self) -> Ints:
        """(n,) events of each user."""
        return np.diff(self.starts)

    @cached_property
    def user(self) -> Ints:
        """(e,) which user did it."""
        return np.repeat(np.arange(len(self.users)), self.lengths)

    @cached_property
    def position(self) -> Ints:
        """(e,) 0 at a user's newest event."""
        return np.arange(self.size) - self.starts[self.user]

    @property
    def day(self) -> Ints:
        """(e,) local days since 1970-01-01."""
        return self.events["day"]

    def total(self, values: Ints, where: Mask) -> Ints:
        """(n,) exact sums over the events ``where`` holds and the value is known."""
        so_far: Ints = np.append(0, np.cumsum(np.where(where & (values != UNKNOWN), values, 0)))
        return so_far[self.starts[1:]] - so_far[self.starts[:-1]]

    def count(self, where: Mask) -> Ints:
        """(n,) events for which ``where`` holds."""
        return self.total(where.astype(np.int64), where)

    def newest_of_each(self, values: Ints, where: Mask) -> Mask:
        """(e,) the newest event of each distinct value of a user, of those ``where`` holds; ``UNKNOWN`` is one, too."""
        rows = np.flatnonzero(where)
        repeated = pd.Series(self.by_user(values)[rows]).duplicated()
        found = np.zeros(self.size, dtype=np.bool_)
        found[rows[~repeated.to_numpy()]] = True
        return found

    def by_user(self, values: Ints) -> Ints:
        """(e,) numbers that differ where user or value does: one hash takes a quarter of the time of one of pairs.

        Two of a million pairs are taken for one once in 37 million times, as two hashed ids are.
        """
        return values ^ (self.user * SPREAD)

    def newest_of_each_day(self, where: Mask) -> Mask:
        """(e,) the newest event of each of a user's days, of those ``where`` holds."""
        rows = np.flatnonzero(where)
        later = (np.diff(self.user[rows]) != 0) | (np.diff(self.day[rows]) != 0)
        found = np.zeros(self.size, dtype=np.bool_)
        found[rows[np.append(True, later)[: len(rows)]]] = True
        return found

    def order_ordinals(self) -> Ints:
        """(e,) numbers of orders, of each user from 0 at the newest; ``UNKNOWN`` for an event without one."""
        orders = self.events["order"]
        rows = np.flatnonzero(orders != UNKNOWN)
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
    """The rows that are events: columns of whole numbers, and those of words."""
    words = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    numbers = {
        name: whole_numbers(rows.column(name).filter(is_event)) for name in rows.schema.names if name not in words
    }
    return numbers, rows.select(words).filter(is_event) if words else None


def day_number(day: date) -> int:
    """Whole days since 1970-01-01, as ``Timelines.day`` counts them."""
    return (day - date(1970, 1, 1)).days


def whole_numbers(column: pa.Array) -> Ints:
    """A column of whole numbers, ``UNKNOWN`` where it is null."""
    found: Ints = pc.fill_null(column.cast(pa.int64()), UNKNOWN).to_numpy()
    return found
