"""Vectors as bytes in Arrow."""

import numpy as np
import pyarrow as pa

from ulvspark.history.packing import rows_as_bytes, rows_from_bytes


def test_vectors_come_back_from_bytes_wherever_a_column_begins() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype("<f4")
    column = rows_as_bytes(vectors)
    assert column.equals(pa.array([row.tobytes() for row in vectors], pa.binary()))
    np.testing.assert_array_equal(rows_from_bytes(column.slice(1, 3), vectors.dtype), vectors[1:4])
    assert rows_from_bytes(column, vectors.dtype).flags.writeable, "torch wants it"


def test_rows_of_a_wider_array_are_bytes_too() -> None:
    wide = np.arange(12, dtype="<f2").reshape(3, 4)
    assert rows_as_bytes(wide[:, :2]).to_pylist() == [row.tobytes() for row in wide[:, :2]]
