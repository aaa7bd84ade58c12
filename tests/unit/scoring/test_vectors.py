"""Vectors as bytes in Arrow."""

import numpy as np
import pyarrow as pa

from ulvspark.scoring.vectors import bytes_of, vectors_of


def test_vectors_come_back_from_bytes_wherever_a_column_begins() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype("<f4")
    column = bytes_of(vectors)
    assert column.equals(pa.array([row.tobytes() for row in vectors], pa.binary()))
    np.testing.assert_array_equal(vectors_of(column.slice(1, 3)), vectors[1:4])
    assert vectors_of(column).flags.writeable, "torch wants it"


def test_rows_of_a_wider_array_are_bytes_too() -> None:
    wide = np.arange(12, dtype="<f2").reshape(3, 4)
    assert bytes_of(wide[:, :2]).to_pylist() == [row.tobytes() for row in wide[:, :2]]
