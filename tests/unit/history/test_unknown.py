"""What is not known: null in tables, the least number of the width in arrays."""

import numpy as np
import pyarrow as pa
import pytest

from ulvspark.history.timelines import UNKNOWN, fill_unknown, from_arrow, is_known, to_arrow, to_width

WIDTHS = (np.int8, np.int32, np.int64)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.int64()])
def test_what_is_not_known_stays_so_from_a_table_to_any_width_and_back(width, kind):
    column = pa.array([None, -1, 0, 127, -127, None], kind)
    packed = to_width(from_arrow(column), np.dtype(width))
    assert packed.dtype == width
    assert packed.tolist() == [np.iinfo(width).min, -1, 0, 127, -127, np.iinfo(width).min]
    assert is_known(packed).tolist() == [False, True, True, True, True, False]
    assert to_arrow(to_width(packed, np.dtype(np.int64)), kind).equals(column)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_not_known_is_filled_in_the_same_width(width):
    filled = fill_unknown(np.array([np.iinfo(width).min, 5], width), -1)
    assert (filled.dtype, filled.tolist()) == (width, [-1, 5])


def test_a_wide_number_is_not_taken_for_an_unknown_narrow_one():
    assert is_known(np.array([-128])).all()
    assert from_arrow(pa.array([-128, None], pa.int8())).tolist() == [-128, UNKNOWN]
