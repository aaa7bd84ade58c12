"""Vectors in a column of bytes, as Delta keeps them, and back to flat arrays."""

import numpy as np
import pyarrow as pa


def vectors_of(column: pa.BinaryArray) -> np.ndarray:
    """Vectors (n, vector_size) float32 of a ``vector`` column without nulls; n must be at least 1."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    # A copy, since torch wants memory it might write to.
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].copy().view("<f4").reshape(len(column), -1)


def bytes_of(vectors: np.ndarray) -> pa.BinaryArray:
    """Rows of (n, vector_size), each as its bytes."""
    width = vectors.shape[1] * vectors.itemsize
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * np.int32(width)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(vectors))]
    return pa.Array.from_buffers(pa.binary(), len(vectors), buffers)
