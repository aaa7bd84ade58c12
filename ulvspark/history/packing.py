"""Whole timelines as rows of the table ``timelines``, a row a user, and back: nights then shuffle no event."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulvspark.contract.schema import PACKED
from ulvspark.history.last_events import ordinals
from ulvspark.history.timelines import UNKNOWN, Ints, Timelines

KINDS = {name: np.dtype(width) for name, width in PACKED.items()}


def pack(timelines: Timelines) -> pa.RecordBatch:
    """Rows of ``schema.TIMELINES``. Each column of bytes holds one number of all of a user's events."""
    events = timelines.events | {"order": ordinals(timelines)}
    packed = {name: _bytes(events[name], kind, timelines.starts) for name, kind in KINDS.items()}
    users = {name: timelines.users.column(name) for name in ("user_id", "known", "signup")}
    return pa.record_batch(users | {"known": pc.fill_null(users["known"], False)} | packed)


def unpack(rows: pa.RecordBatch) -> Timelines:
    """What ``pack`` was given, but for profiles, which unit ``event`` does not read, and the ids of orders.

    Of a user's orders only which are equal is told.
    """
    starts, _ = _flat(rows.column("day"), KINDS["day"])
    events = {name: _wide(_flat(rows.column(name), kind)[1]) for name, kind in KINDS.items()}
    users = rows.select(["user_id", "known", "signup"])
    return Timelines(users.append_column("profile_key", pa.nulls(len(rows), pa.int64())), events, starts)


def _bytes(values: Ints, kind: np.dtype, starts: Ints) -> pa.BinaryArray:
    narrow = np.where(values == UNKNOWN, np.iinfo(kind).min, values).astype(kind)
    offsets = pa.py_buffer((starts * kind.itemsize).astype(np.int32))
    return pa.Array.from_buffers(pa.binary(), len(starts) - 1, [None, offsets, pa.py_buffer(narrow)])


def _flat(column: pa.BinaryArray, kind: np.dtype) -> tuple[Ints, np.ndarray]:
    """Where each user's numbers start, and all numbers."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    return (ends - ends[0]) // kind.itemsize, np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]].view(kind)


def _wide(values: np.ndarray) -> Ints:
    return np.where(values == np.iinfo(values.dtype).min, UNKNOWN, values.astype(np.int64))
