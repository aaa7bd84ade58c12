"""The last N events of whole users: what the model reads of them, and the hash that tells whether it changed.

They are told twice: as ``schema.HISTORY_TYPE``, with words, and as records of ``RECORD``, without.
"""

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ulvspark.contract.schema import CODED
from ulvspark.history.numbers import TEN_THOUSANDTHS
from ulvspark.history.timelines import UNKNOWN, Ints, Timelines, whole_numbers

FIELDS = {
    "event_type": pa.string(), "order_id": pa.string(), "gap_days": pa.int32(), "quantity": pa.float64(),
    "price_relation": pa.string(), "price_level": pa.string(), "title": pa.string(), "category": pa.string(),
    "brand": pa.string(), "text": pa.string(), "product_key": pa.int64(), "text_key": pa.int64(),
}  # fmt: skip
"""Of an event in ``schema.HISTORY_TYPE``, in its order."""

RECORD = np.dtype(
    [
        ("product_key", "<i8"), ("text_key", "<i8"), ("quantity", "<i8"), ("gap_days", "<i4"), ("order", "<i4"),
        *((name, "i1") for name in CODED),
    ]
)  # fmt: skip
"""Of an event, all that unit ``event`` reads and all that a history's hash covers: with another one everyone would be
read again. Unknown is 0 for keys, ``UNKNOWN`` for the quantity (in ten-thousandths), else ``NONE``."""

NONE = -1


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
    # Numbered as they appear, so those of a user follow each other, and the first is the user's least.
    number, _ = pd.factorize(timelines.by_user(orders)[rows])
    users, first = np.unique(timelines.user[rows], return_index=True)
    least = np.zeros(len(timelines.users), np.int64)
    least[users] = number[first]
    found = np.full(len(orders), UNKNOWN)
    found[rows] = number - least[timelines.user[rows]]
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


def records(timelines: Timelines) -> npt.NDArray[np.void]:
    """(e,) what ``last_events`` gave, as ``RECORD``."""
    packed = np.empty(len(timelines.events), RECORD)
    for name in RECORD.names or ():
        unknown = {"product_key": 0, "text_key": 0, "quantity": UNKNOWN}.get(name, NONE)
        values = timelines.whole(name)
        packed[name] = np.where(values == UNKNOWN, unknown, values)
    return packed


def sequences(packed: npt.NDArray[np.void], starts: Ints) -> pa.BinaryArray:
    """(n,) each user's records; null for a user without an event."""
    offsets = pa.py_buffer((starts * RECORD.itemsize).astype(np.int32))
    told = pa.Array.from_buffers(pa.binary(), len(starts) - 1, [None, offsets, pa.py_buffer(packed)])
    return pc.if_else(pa.array(np.diff(starts) > 0), told, None)


def text_keys(timelines: Timelines) -> pa.ListArray:
    """(n,) keys of the own texts that ``last_events`` gave."""
    keys = timelines.events.column("text_key")
    there = keys.is_valid().to_numpy(zero_copy_only=False)
    starts = np.append(0, np.cumsum(timelines.count(there)))
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), keys.drop_null())


def hashes(packed: npt.NDArray[np.void], timelines: Timelines) -> pa.Array:
    """(n,) SHA-256 of each user's profile and records; null for a user without an event."""
    profiles = whole_numbers(timelines.users.column("profile_key")).astype("<i8")
    return pa.array(_digests(packed, profiles, timelines.starts), pa.string())


def _digests(packed: npt.NDArray[np.void], profiles: Ints, starts: Ints) -> Iterator[str | None]:
    flat, bounds = packed.tobytes(), starts * RECORD.itemsize
    for profile, start, end in zip(profiles, bounds, bounds[1:], strict=False):
        yield hashlib.sha256(profile.tobytes() + flat[start:end]).hexdigest() if start < end else None
