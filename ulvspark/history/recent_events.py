"""The last N events of whole users: what the model reads of them, and the hash that tells whether it changed.

They are told twice: as ``schema.HISTORY_TYPE``, with words, and as records of ``RECORD``, without.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ulvspark.contract.schema import CODED
from ulvspark.history.numbers import TEN_THOUSANDTHS
from ulvspark.history.packing import as_bytes
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


def recent_events(timelines: Timelines, count: int) -> Timelines:
    """The newest ``count`` events of each user, with ``gap_days`` to the event before.

    The gap of a user's first event is null, and ``order`` is an ordinal among the user's orders here, newest first.
    """
    rows = np.flatnonzero(timelines.position < count)
    events = {name: values[rows] for name, values in timelines.events.items()} | {"gap_days": _gaps(timelines)[rows]}
    words = None if timelines.words is None else timelines.words.take(pa.array(rows))
    starts = np.append(0, np.cumsum(np.minimum(timelines.lengths, count)))
    kept = Timelines(timelines.users, events, starts, words)
    return replace(kept, events=events | {"order": kept.order_ordinals()})


def _gaps(timelines: Timelines) -> Ints:
    gaps = np.full(timelines.size, UNKNOWN)
    gaps[:-1] = np.where(np.diff(timelines.user) == 0, timelines.day[:-1] - timelines.day[1:], UNKNOWN)
    return gaps


def _nullable(numbers: Ints, kind: pa.DataType) -> pa.Array:
    return pa.array(np.where(numbers == UNKNOWN, 0, numbers), mask=numbers == UNKNOWN).cast(kind)


def _units(ten_thousandths: Ints) -> pa.Array:
    return pc.divide(_nullable(ten_thousandths, pa.int64()).cast(pa.float64(), safe=False), TEN_THOUSANDTHS)


def histories(timelines: Timelines) -> pa.Array:
    """(n,) what ``recent_events`` gave as ``schema.HISTORY_TYPE``; null for a user without an event."""
    fields = {name: pa.nulls(timelines.size, kind) for name, kind in FIELDS.items()}
    for name in ("gap_days", "product_key", "text_key"):
        fields[name] = _nullable(timelines.events[name], FIELDS[name])
    for name, known in CODED.items():
        fields[name] = pa.array(known).take(_nullable(timelines.events[name], pa.int64()))
    fields["order_id"] = _nullable(timelines.events["order"], pa.int64()).cast(pa.string())
    fields["quantity"] = _units(timelines.events["quantity"])
    if timelines.words is not None:
        fields |= {name: timelines.words.column(name) for name in timelines.words.schema.names}
    told = pa.StructArray.from_arrays(list(fields.values()), list(fields))
    lists = pa.ListArray.from_arrays(pa.array(timelines.starts, pa.int32()), told)
    nobody = pa.array(timelines.lengths == 0)
    return pa.StructArray.from_arrays(
        [_maps(timelines.users.column("profile")), lists], ["profile", "events"], mask=nobody
    )


def _maps(profiles: pa.StringArray) -> pa.MapArray:
    known = [None if each is None else list(json.loads(each).items()) for each in profiles.to_pylist()]
    return pa.array(known, pa.map_(pa.string(), pa.string()))


def records(timelines: Timelines) -> npt.NDArray[np.void]:
    """(e,) what ``recent_events`` gave, as ``RECORD``."""
    packed = np.empty(timelines.size, RECORD)
    for name in RECORD.names or ():
        unknown = {"product_key": 0, "text_key": 0, "quantity": UNKNOWN}.get(name, NONE)
        values = timelines.events[name]
        packed[name] = np.where(values == UNKNOWN, unknown, values)
    return packed


def sequences(packed: npt.NDArray[np.void], starts: Ints) -> pa.BinaryArray:
    """(n,) each user's records; null for a user without an event."""
    told = as_bytes(packed, starts)
    return pc.if_else(pa.array(np.diff(starts) > 0), told, None)


def text_keys(timelines: Timelines) -> pa.ListArray:
    """(n,) keys of the own texts that ``recent_events`` gave."""
    keys = timelines.events["text_key"]
    there = keys != UNKNOWN
    starts = np.append(0, np.cumsum(timelines.count(there)))
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), pa.array(keys[there]))


def hashes(packed: npt.NDArray[np.void], timelines: Timelines) -> pa.Array:
    """(n,) SHA-256 of each user's profile and records; null for a user without an event."""
    profiles = whole_numbers(timelines.users.column("profile_key")).astype("<i8")
    return pa.array(_digests(packed, profiles, timelines.starts), pa.string())


def _digests(packed: npt.NDArray[np.void], profiles: Ints, starts: Ints) -> Iterator[str | None]:
    flat, bounds = packed.tobytes(), starts * RECORD.itemsize
    for profile, start, end in zip(profiles, bounds, bounds[1:], strict=False):
        yield hashlib.sha256(profile.tobytes() + flat[start:end]).hexdigest() if start < end else None
