"""Which users' sums are right: whole ten-thousandths in 64 bits, checked against sums of doubles."""

import numpy as np
import numpy.typing as npt

from ulvspark.history.timelines import Ints, Mask, Timelines, is_known

SUMMED = ("quantity", "amount", "list_value")
"""The numbers of an event that are summed."""

EXACT_UP_TO = 2**53
"""Ten-thousandths are made from doubles, which hold each whole number up to here (9e11 units) and not beyond."""

TOLERANCE = 1e-6
"""Sums of doubles are off by less than this share; a sum that left 64 bits is off by more than all of it."""


def sums_are_exact(timelines: Timelines) -> Mask:
    """(n,) whether no sum over some of a user's events can be wrong: each value is exact, and all together fit."""
    exact = np.ones(len(timelines.users), dtype=np.bool_)
    for name in SUMMED:
        exact &= _is_exact(timelines, timelines.events[name])
    return exact


def _is_exact(timelines: Timelines, values: Ints) -> Mask:
    known = is_known(values)
    # Amounts are never negative, so that the sum over all events is the largest of any.
    doubles: npt.NDArray[np.float64] = np.where(known, values, 0).astype(np.float64)
    as_doubles = np.bincount(timelines.user, weights=doubles, minlength=len(timelines.users))
    in_64_bits = timelines.total(values, known)
    too_large = timelines.count(known & (np.abs(doubles) > EXACT_UP_TO)) > 0
    fits: Mask = np.abs(in_64_bits - as_doubles) <= TOLERANCE * as_doubles
    return fits & ~too_large
