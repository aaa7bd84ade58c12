"""Columns of bytes that hold numbers: flat arrays, a piece of them a row."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]


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


def rows_as_bytes(matrix: np.ndarray) -> pa.BinaryArray:
    """(n,) the bytes of each row of ``matrix`` (n, D)."""
    return as_bytes(matrix, np.arange(len(matrix) + 1) * matrix.shape[1])


def rows_from_bytes(column: pa.BinaryArray, kind: np.dtype) -> np.ndarray:
    """(n, D) the rows that ``rows_as_bytes`` packed, n at least 1, as a copy that may be written to."""
    _, values = from_bytes(column, kind)
    return values.copy().reshape(len(column), -1)
