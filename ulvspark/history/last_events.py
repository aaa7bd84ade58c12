"""The last N events of whole users: what the model reads of them, and the hash that tells whether it changed."""

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ulvspark.contract.schema import CODED
from ulvspark.history.numbers import TEN_THOUSANDTHS
from ulvspark.history.timelines import UNKNOWN, Ints, Timelines, whole_numbers

KEYS = ("product_key", "text_key")
"""Whole numbers that stand for words."""

FIELDS = {
    "event_type": pa.string(), "order_id": pa.string(), "gap_days": pa.int32(), "quantity": pa.float64(),
    "price_relation": pa.string(), "price_level": pa.string(), "title": pa.string(), "category": pa.string(),
    "brand": pa.string(), "text": pa.string(), "product_key": pa.int64(), "text_key": pa.int64(),
}  # fmt: skip
"""Of an event in ``schema.HISTORY_TYPE``, in its order."""

HASHED = ("event_type", "order", "gap_days", "quantity", "price_relation", "price_level", *KEYS)


def last_events(timelines: Timelines, count: int) -> Timelines:
    """The newest ``count`` events of each user, with ``gap_days`` to the event before.

    The gap of a user's first event is null, and ``order`` is an ordinal among the user's orders here, newest first.
    """
    rows = np.flatnonzero(timelines.position < count)
    events = timelines.events.take(pa.array(rows))
    kept = Timelines(timelines.users, events, np.append(0, np.cumsum(np.minimum(timelines.lengths, count))))
    gaps = _nullable(_gaps(timelines)[rows], pa.int32())
    events = events.append_column("gap_days", gaps)
    place = events.schema.get_field_index("order")
    return Timelines(kept.users, events.set_column(place, "order", _nullable(_ordinals(kept), pa.int64())), kept.starts)


def _gaps(timelines: Timelines) -> Ints:
    gaps = np.full(len(timelines.events), UNKNOWN)
    gaps[:-1] = np.where(np.diff(timelines.user) == 0, timelines.day[:-1] - timelines.day[1:], UNKNOWN)
    return gaps


def _ordinals(timelines: Timelines) -> Ints:
    orders = timelines.whole("order")
    rows = np.flatnonzero(orders != UNKNOWN)
    frame = pd.DataFrame({"user": timelines.user[rows], "order": orders[rows]})
    # Numbered as they appear, so those of a user follow each other.
    number = frame.groupby(["user", "order"], sort=False).ngroup()
    found = np.full(len(orders), UNKNOWN)
    found[rows] = number - number.groupby(frame["user"]).transform("first")
    return found


def _nullable(numbers: Ints, kind: pa.DataType) -> pa.Array:
    return pa.array(np.where(numbers == UNKNOWN, 0, numbers), mask=numbers == UNKNOWN).cast(kind)


def histories(timelines: Timelines) -> pa.Array:
    """(n,) what ``last_events`` gave as ``schema.HISTORY_TYPE``; null for a user without an event."""
    events = timelines.events
    fields = {name: pa.nulls(len(events), kind) for name, kind in FIELDS.items()}
    fields |= {name: events.column(name) for name in events.schema.names if name in fields}
    fields |= {name: _words(events.column(name), known) for name, known in CODED.items()}
    fields["order_id"] = events.column("order").cast(pa.string())
    fields["quantity"] = pc.divide(events.column("quantity").cast(pa.float64(), safe=False), TEN_THOUSANDTHS)
    told = pa.StructArray.from_arrays(list(fields.values()), list(fields))
    lists = pa.ListArray.from_arrays(pa.array(timelines.starts, pa.int32()), told)
    nobody = pa.array(timelines.lengths == 0)
    return pa.StructArray.from_arrays(
        [_maps(timelines.users.column("profile")), lists], ["profile", "events"], mask=nobody
    )


def _words(codes: pa.Array, known: tuple[str, ...]) -> pa.Array:
    return pa.array(known).take(codes)


def _maps(profiles: pa.StringArray) -> pa.MapArray:
    known = [None if each is None else list(json.loads(each).items()) for each in profiles.to_pylist()]
    return pa.array(known, pa.map_(pa.string(), pa.string()))


def hashes(timelines: Timelines) -> pa.Array:
    """(n,) SHA-256 of what ``last_events`` gave and of the profile; null for a user without an event."""
    events = np.stack([timelines.whole(name) for name in HASHED], axis=1).astype("<i8")
    profiles = whole_numbers(timelines.users.column("profile_key")).astype("<i8")
    return pa.array(_digests(events, profiles, timelines.starts), pa.string())


def _digests(events: Ints, profiles: Ints, starts: Ints) -> Iterator[str | None]:
    flat, bounds = events.tobytes(), starts * events.shape[1] * events.itemsize
    for profile, start, end in zip(profiles, bounds, bounds[1:], strict=False):
        yield hashlib.sha256(profile.tobytes() + flat[start:end]).hexdigest() if start < end else None
