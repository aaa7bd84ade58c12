"""Vectors in a column of bytes, as Delta keeps them, and back to flat arrays."""

import numpy as np
import pyarrow as pa

from ulvspark.history.packing import as_bytes, from_bytes


def vectors_of(column: pa.BinaryArray) -> np.ndarray:
    """Vectors (n, vector_size) float32 of a ``vector`` column without nulls; n must be at least 1."""
    _, values = from_bytes(column, np.dtype("<f4"))
    # A copy, since torch wants memory it might write to.
    return values.copy().reshape(len(column), -1)


def bytes_of(vectors: np.ndarray) -> pa.BinaryArray:
    """Rows of (n, vector_size), each as its bytes."""
    return as_bytes(vectors, np.arange(len(vectors) + 1) * vectors.shape[1])
