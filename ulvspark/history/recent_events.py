"""The newest N events of whole users: what the model reads of a user, and a hash that changes when that does.

They come in two forms: with words, as ``schema.HISTORY_TYPE``, for unit ``history``; and without, as records of
``RECORD``, for unit ``event``.
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
from ulvspark.history.timelines import UNKNOWN, Ints, Timelines, from_arrow, is_known, to_arrow, to_width

FIELDS = {
    "event_type": pa.string(), "order_id": pa.string(), "gap_days": pa.int32(), "quantity": pa.float64(),
    "price_relation": pa.string(), "price_level": pa.string(), "title": pa.string(), "category": pa.string(),
    "brand": pa.string(), "text": pa.string(), "product_key": pa.int64(), "text_key": pa.int64(),
}  # fmt: skip
"""The fields of an event in ``schema.HISTORY_TYPE``, in its order."""

RECORD = np.dtype(
    [
        ("product_key", "<i8"), ("text_key", "<i8"), ("quantity", "<i8"), ("gap_days", "<i4"), ("order", "<i4"),
        *((name, "i1") for name in CODED),
    ]
)  # fmt: skip
"""An event as unit ``event`` reads it: whole numbers, the quantity in ten-thousandths.

The hash covers these records, so with another layout every user is encoded again.
"""


def recent_events(timelines: Timelines, count: int) -> Timelines:
    """The newest ``count`` events of each user, with ``gap_days`` to the event before (older), in days.

    The gap of a user's first event is unknown. ``order`` numbers the orders among these events, from 0 at the newest.
    """
    rows = np.flatnonzero(timelines.position < count)
    events = {name: values[rows] for name, values in timelines.events.items()} | {"gap_days": _gaps(timelines)[rows]}
    words = None if timelines.words is None else timelines.words.take(pa.array(rows))
    starts = np.append(0, np.cumsum(np.minimum(timelines.lengths, count)))
    recent = Timelines(timelines.users, events, starts, words)
    return replace(recent, events=events | {"order": recent.order_ordinals()})


def _gaps(timelines: Timelines) -> Ints:
    gaps = np.full(timelines.size, UNKNOWN)
    gaps[:-1] = np.where(np.diff(timelines.user) == 0, timelines.day[:-1] - timelines.day[1:], UNKNOWN)
    return gaps


def histories(recent: Timelines) -> pa.Array:
    """(n,) ``recent_events`` as ``schema.HISTORY_TYPE``; null for a user without an event."""
    fields = {name: pa.nulls(recent.size, kind) for name, kind in FIELDS.items()}
    for name in ("gap_days", "product_key", "text_key"):
        fields[name] = to_arrow(recent.events[name], FIELDS[name])
    for name, words in CODED.items():
        fields[name] = pa.array(words).take(to_arrow(recent.events[name], pa.int64()))
    fields["order_id"] = to_arrow(recent.events["order"], pa.int64()).cast(pa.string())
    fields["quantity"] = _units(recent.events["quantity"])
    if recent.words is not None:
        fields |= {name: recent.words.column(name) for name in recent.words.schema.names}
    events = pa.StructArray.from_arrays(list(fields.values()), list(fields))
    lists = pa.ListArray.from_arrays(pa.array(recent.starts, pa.int32()), events)
    profiles = _maps(recent.users.column("profile"))
    return pa.StructArray.from_arrays([profiles, lists], ["profile", "events"], mask=pa.array(recent.lengths == 0))


def _units(ten_thousandths: Ints) -> pa.Array:
    return pc.divide(to_arrow(ten_thousandths, pa.int64()).cast(pa.float64(), safe=False), TEN_THOUSANDTHS)


def _maps(profiles: pa.StringArray) -> pa.MapArray:
    pairs = [None if profile is None else list(json.loads(profile).items()) for profile in profiles.to_pylist()]
    return pa.array(pairs, pa.map_(pa.string(), pa.string()))


def records(recent: Timelines) -> npt.NDArray[np.void]:
    """(e,) ``recent_events`` as ``RECORD``."""
    packed = np.empty(recent.size, RECORD)
    for name in RECORD.names or ():
        packed[name] = to_width(recent.events[name], RECORD[name])
    return packed


def sequences(packed: npt.NDArray[np.void], starts: Ints) -> pa.BinaryArray:
    """(n,) the records of each user; null for a user without an event."""
    return pc.if_else(pa.array(np.diff(starts) > 0), as_bytes(packed, starts), None)


def text_keys(recent: Timelines) -> pa.ListArray:
    """(n,) the keys of the events' own texts."""
    keys = recent.events["text_key"]
    known = is_known(keys)
    starts = np.append(0, np.cumsum(recent.count(known)))
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), pa.array(keys[known]))


def hashes(packed: npt.NDArray[np.void], recent: Timelines) -> pa.Array:
    """(n,) SHA-256 of each user's profile and records; null for a user without an event."""
    profiles = from_arrow(recent.users.column("profile_key")).astype("<i8")
    return pa.array(_digests(packed, profiles, recent.starts), pa.string())


def _digests(packed: npt.NDArray[np.void], profiles: Ints, starts: Ints) -> Iterator[str | None]:
    flat, bounds = packed.tobytes(), starts * RECORD.itemsize
    for profile, start, end in zip(profiles, bounds, bounds[1:], strict=False):
        yield hashlib.sha256(profile.tobytes() + flat[start:end]).hexdigest() if start < end else None
