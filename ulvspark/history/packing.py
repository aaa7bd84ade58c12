"""Arrays of numbers as columns of bytes, and whole timelines as rows of the table ``timelines``.

The table holds a row a user, so a night shuffles no event.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulvspark.contract.schema import PACKED
from ulvspark.history.timelines import UNKNOWN, Ints, Timelines

KINDS = {name: np.dtype(width) for name, width in PACKED.items()}

EVENTS = 500_000
"""Unpacked at once, some 300 bytes each with what is made of them: a batch holds thousands of users, however active."""


def pack(timelines: Timelines) -> pa.RecordBatch:
    """Rows of ``schema.TIMELINES``. Each column of bytes holds one number of all of a user's events."""
    events = timelines.events | {"order": timelines.order_ordinals()}
    packed = {name: as_bytes(_narrow(events[name], kind), timelines.starts) for name, kind in KINDS.items()}
    users = {name: timelines.users.column(name) for name in ("user_id", "known", "signup")}
    return pa.record_batch(users | {"known": pc.fill_null(users["known"], False)} | packed)


def unpack(rows: pa.RecordBatch) -> Timelines:
    """What ``pack`` was given, but for profiles, which unit ``event`` does not read, and the ids of orders.

    Of a user's orders only which are equal is told.
    """
    starts, _ = from_bytes(rows.column("day"), KINDS["day"])
    events = {name: _wide(from_bytes(rows.column(name), kind)[1]) for name, kind in KINDS.items()}
    users = rows.select(["user_id", "known", "signup"])
    return Timelines(users.append_column("profile_key", pa.nulls(len(rows), pa.int64())), events, starts)


def parts(rows: pa.RecordBatch, events: int = EVENTS) -> Iterator[pa.RecordBatch]:
    """``rows`` in pieces of about so many events, or of one user."""
    so_far = np.cumsum(pc.binary_length(rows.column("day")).to_numpy().astype(np.int64)) // KINDS["day"].itemsize
    cuts = 1 + np.flatnonzero(np.diff(so_far // events))
    for start, end in pairwise([0, *cuts.tolist(), len(rows)]):
        yield rows.slice(start, end - start)


def _narrow(values: Ints, kind: np.dtype) -> np.ndarray:
    return np.where(values == UNKNOWN, np.iinfo(kind).min, values).astype(kind)


def _wide(values: np.ndarray) -> Ints:
    return np.where(values == np.iinfo(values.dtype).min, UNKNOWN, values.astype(np.int64))


def as_bytes(values: np.ndarray, starts: Ints) -> pa.BinaryArray:
    """(n,) the bytes of values [starts[i], starts[i + 1]) each; ``starts`` is (n + 1,)."""
    offsets = pa.py_buffer((starts * values.itemsize).astype(np.int32))
    return pa.Array.from_buffers(
        pa.binary(), len(starts) - 1, [None, offsets, pa.py_buffer(np.ascontiguousarray(values))]
    )


def from_bytes(column: pa.BinaryArray, kind: np.dtype) -> tuple[Ints, np.ndarray]:
    """What ``as_bytes`` was given: (n + 1,) starts and all values, of memory that is not to be written to."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    return (ends - ends[0]) // kind.itemsize, np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]].view(kind)
