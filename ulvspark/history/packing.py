"""Arrays of numbers as columns of bytes, and whole timelines as rows of the table ``timelines``.

The table holds a row a user, so a night shuffles no event.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulvspark.contract.schema import PACKED
from ulvspark.history.timelines import Ints, Timelines, to_width

KINDS = {name: np.dtype(width) for name, width in PACKED.items()}

EVENTS_AT_ONCE = 500_000
"""Events that are unpacked at once, at some 300 bytes each with what is made of them: a batch of Spark holds thousands
of users, however many events they have."""


def pack(timelines: Timelines) -> pa.RecordBatch:
    """Rows of ``schema.TIMELINES``. A column of bytes holds one number of each of the user's events."""
    events = timelines.events | {"order": timelines.order_ordinals()}
    packed = {name: as_bytes(to_width(events[name], kind), timelines.starts) for name, kind in KINDS.items()}
    users = {name: timelines.users.column(name) for name in ("user_id", "known", "signup")}
    return pa.record_batch(users | {"known": pc.fill_null(users["known"], False)} | packed)


def unpack(rows: pa.RecordBatch) -> Timelines:
    """What ``pack`` was given, without profiles, which unit ``event`` does not read, and with ordinals of orders."""
    starts, _ = from_bytes(rows.column("day"), KINDS["day"])
    events = {
        name: to_width(from_bytes(rows.column(name), kind)[1], np.dtype(np.int64)) for name, kind in KINDS.items()
    }
    users = rows.select(["user_id", "known", "signup"])
    return Timelines(users.append_column("profile_key", pa.nulls(len(rows), pa.int64())), events, starts)


def parts(rows: pa.RecordBatch, events: int = EVENTS_AT_ONCE) -> Iterator[pa.RecordBatch]:
    """``rows`` in pieces of about ``events`` events, or of one user who has more."""
    so_far = np.cumsum(pc.binary_length(rows.column("day")).to_numpy().astype(np.int64)) // KINDS["day"].itemsize
    cuts = 1 + np.flatnonzero(np.diff(so_far // events))
    for start, end in pairwise([0, *cuts.tolist(), len(rows)]):
        yield rows.slice(start, end - start)


def as_bytes(values: np.ndarray, starts: Ints) -> pa.BinaryArray:
    """(n,) rows; row i holds the bytes of ``values`` from starts[i] to before starts[i + 1]. ``starts`` is (n + 1,)."""
    offsets = pa.py_buffer((starts * values.itemsize).astype(np.int32))
    return pa.Array.from_buffers(
        pa.binary(), len(starts) - 1, [None, offsets, pa.py_buffer(np.ascontiguousarray(values))]
    )


def from_bytes(column: pa.BinaryArray, kind: np.dtype) -> tuple[Ints, np.ndarray]:
    """What ``as_bytes`` was given: (n + 1,) starts, and all values, read-only."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    return (ends - ends[0]) // kind.itemsize, np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]].view(kind)


def rows_as_bytes(matrix: np.ndarray) -> pa.BinaryArray:
    """(n,) the bytes of each row of ``matrix`` (n, D)."""
    return as_bytes(matrix, np.arange(len(matrix) + 1) * matrix.shape[1])


def rows_from_bytes(column: pa.BinaryArray, kind: np.dtype) -> np.ndarray:
    """(n, D) the rows that ``rows_as_bytes`` packed, n at least 1, as a copy that may be written to."""
    _, values = from_bytes(column, kind)
    return values.copy().reshape(len(column), -1)
