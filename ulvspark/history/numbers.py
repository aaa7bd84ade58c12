"""The numbers of a user as of a date, computed from all the user's events before it.

Sums are of whole numbers, money in ten-thousandths, and turn into a double only at the end, so partitioning changes no
bit. Which numbers there are, and their order, is ``HistorySpec.numbers``.
"""

from collections.abc import Sequence
from datetime import date
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import EVENT_TYPES, PRICE_RELATIONS
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.timelines import Ints, Mask, Timelines, day_number, from_arrow, is_known

Floats = npt.NDArray[np.float64]

NUMBERS_VERSION = 1
"""The version of the formulas below. Raise it whenever any number of any user may come out different: training sets and
bundles of another version are then refused, since their trees and networks learned from other values."""

TEN_THOUSANDTHS = 10_000
"""Units of money and quantity in a timeline: the scale of ``schema.MONEY``."""

SUMMED = ("quantity", "amount", "list_value")
"""The numbers of an event that are summed."""

EXACT_UP_TO = 2**53
"""Ten-thousandths are made from doubles, which hold each whole number up to here (9e11 units) and not beyond."""

TOLERANCE = 1e-6
"""Sums of doubles are off by less than this share; a sum that left 64 bits is off by more than all of it."""


def check_numbers(names: Sequence[str], version: int, spec: HistorySpec, holder: str, remedy: str) -> None:
    """Check that ``holder`` has the numbers that this code computes for ``spec``, in their order.

    Raises ExpectedError, which names ``holder`` and ends with ``remedy``, where names or version are others.
    """
    if version != NUMBERS_VERSION:
        raise ExpectedError(
            f"{holder} has numbers by version {version} of their formulas, and this code computes version "
            f"{NUMBERS_VERSION}; {remedy}"
        )
    if tuple(names) != spec.numbers:
        pairs = zip_longest(names, spec.numbers, fillvalue="nothing")
        place, (held, computed) = next((place, pair) for place, pair in enumerate(pairs, 1) if pair[0] != pair[1])
        raise ExpectedError(
            f"{holder} has {held} as number {place} of a user, where this code computes {computed}; {remedy}"
        )


def numbers(timelines: Timelines, spec: HistorySpec, as_of: date) -> dict[str, Floats]:
    """``spec.numbers``, (n,) each, NaN = unknown; all are unknown for a user without an event."""
    orders = _orders(timelines)
    computed = {
        **_money(timelines, orders, spec, as_of),
        **_counts(timelines, orders, spec, as_of),
        **_days(timelines, as_of),
        **_gaps(timelines),
        **_shares(timelines),
    }
    active = timelines.lengths > 0
    return {name: np.where(active, computed[name], np.nan) for name in spec.numbers}


def sums_are_exact(timelines: Timelines) -> Mask:
    """(n,) whether no sum over some of a user's events can be wrong: each value is exact, and all together fit."""
    exact = np.ones(len(timelines.users), dtype=np.bool_)
    for name in SUMMED:
        exact &= _is_exact(timelines, timelines.events[name])
    return exact


def _is_exact(timelines: Timelines, values: Ints) -> Mask:
    known = is_known(values)
    # Amounts are never negative, so that the sum over all events is the largest of any.
    doubles: Floats = np.where(known, values, 0).astype(np.float64)
    as_doubles = np.bincount(timelines.user, weights=doubles, minlength=len(timelines.users))
    in_64_bits = timelines.total(values, known)
    too_large = timelines.count(known & (np.abs(doubles) > EXACT_UP_TO)) > 0
    fits: Mask = np.abs(in_64_bits - as_doubles) <= TOLERANCE * as_doubles
    return fits & ~too_large


def _of_type(timelines: Timelines, event_type: str) -> Mask:
    """(e,) whether an event is of one type."""
    mask: Mask = timelines.events["event_type"] == EVENT_TYPES.index(event_type)
    return mask


def _money(timelines: Timelines, orders: Mask, spec: HistorySpec, as_of: date) -> dict[str, Floats]:
    amount, bought, returned = (
        timelines.events["amount"],
        _of_type(timelines, "purchase"),
        _of_type(timelines, "return"),
    )

    def net(where: Mask) -> Floats:
        return _units(timelines.total(amount, bought & where) - timelines.total(amount, returned & where))

    return {
        "net_spend": net(bought | returned),
        **{f"net_spend_{days}d": net(_within(timelines, days, as_of)) for days in spec.windows_days},
        "order_value": _ratio(_units(timelines.total(amount, bought)), timelines.count(orders)),
        "items": _units(timelines.total(timelines.events["quantity"], bought)),
    }


def _counts(timelines: Timelines, orders: Mask, spec: HistorySpec, as_of: date) -> dict[str, Floats]:
    bought = _of_type(timelines, "purchase")
    product, category = timelines.events["product"], timelines.events["top_category"]
    distinct = {
        "products": timelines.newest_of_each(product, bought & is_known(product)),
        "categories": timelines.newest_of_each(category, bought & is_known(category)),
        "orders": orders,
        # An order belongs to the windows that hold its newest purchase.
        **{f"orders_{days}d": orders & _within(timelines, days, as_of) for days in spec.windows_days},
        "active_days": timelines.newest_of_each_day(np.ones(timelines.size, dtype=np.bool_)),
    }
    kinds = {
        name: _of_type(timelines, kind) for kind in EVENT_TYPES if (name := f"{kind}_events") in spec.count_numbers
    }
    return {name: timelines.count(mask).astype(np.float64) for name, mask in (distinct | kinds).items()}


def _days(timelines: Timelines, as_of: date) -> dict[str, Floats]:
    today = day_number(as_of)
    bought = timelines.newest_of_each_day(_of_type(timelines, "purchase"))
    signup = from_arrow(timelines.users.column("signup"))
    return {
        "recency_days": today - _newest_day(timelines, bought),
        "tenure_days": today - _oldest_day(timelines),
        "signup_days": np.where(is_known(signup) & (signup < today), today - signup.astype(np.float64), np.nan),
    }


def _gaps(timelines: Timelines) -> dict[str, Floats]:
    """Mean and population standard deviation of the days between purchase days; NaN with fewer than one and two gaps.

    std = sqrt(n * sum(gap^2) - sum(gap)^2) / n holds in whole numbers.
    """
    rows = np.flatnonzero(timelines.newest_of_each_day(_of_type(timelines, "purchase")))
    user, day = timelines.user[rows], timelines.day[rows]
    again = np.flatnonzero(np.diff(user) == 0)
    gap = (day[again] - day[again + 1]).astype(np.float64)
    n, span, squares = (
        np.bincount(user[again], weights=gap**power, minlength=len(timelines.users)) for power in (0, 1, 2)
    )
    return {
        "gap_mean_days": _ratio(span, n),
        "gap_std_days": np.where(n > 1, _ratio(np.sqrt(n * squares - span * span), n), np.nan),
    }


def _shares(timelines: Timelines) -> dict[str, Floats]:
    amount, bought, returned = (
        timelines.events["amount"],
        _of_type(timelines, "purchase"),
        _of_type(timelines, "return"),
    )
    listed, relation = timelines.events["list_value"], timelines.events["price_relation"]
    has_list = bought & is_known(listed) & is_known(amount)
    list_value, paid = timelines.total(listed, has_list), timelines.total(amount, has_list)
    below = bought & (relation == PRICE_RELATIONS.index("below"))
    return {
        "return_share": _share(timelines.total(amount, returned), timelines.total(amount, bought)),
        "discount_share": _share(list_value - paid, list_value),
        "below_reference_share": _share(
            timelines.total(amount, below), timelines.total(amount, bought & is_known(relation))
        ),
    }


def _orders(timelines: Timelines) -> Mask:
    """(e,) the newest purchase of each order; a user's purchases without an order count as one order."""
    return timelines.newest_of_each(timelines.events["order"], _of_type(timelines, "purchase"))


def _within(timelines: Timelines, days: int, as_of: date) -> Mask:
    return timelines.day >= day_number(as_of) - days


def _newest_day(timelines: Timelines, where: Mask) -> Floats:
    """(n,) day of the newest event of ``where``; NaN for a user without one."""
    rows = np.flatnonzero(where)
    users, first = np.unique(timelines.user[rows], return_index=True)
    days = np.full(len(timelines.users), np.nan)
    days[users] = timelines.day[rows[first]]
    return days


def _oldest_day(timelines: Timelines) -> Floats:
    days = np.full(len(timelines.users), np.nan)
    active = timelines.lengths > 0
    days[active] = timelines.day[timelines.starts[1:][active] - 1]
    return days


def _units(ten_thousandths: Ints) -> Floats:
    return ten_thousandths / TEN_THOUSANDTHS


def _ratio(part: Floats | Ints, whole: Floats | Ints) -> Floats:
    """NaN where ``whole`` is not positive."""
    ratio: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return ratio


def _share(part: Ints, whole: Ints) -> Floats:
    share: Floats = np.clip(_ratio(part, whole), 0, 1)
    return share
