"""The segments of users that a report shows: new users, one order or more, countries, time since the last purchase."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ulvspark.model.parts.predictions import Decisions

NEW_DAYS = 91
RECENCY_BANDS = (31, 91, 183)
MIN_USERS = 50
"""Users that a segment needs to be reported."""
MAX_COUNTRIES = 5

Members = npt.NDArray[np.bool_]


def segments(rows: pd.DataFrame) -> dict[tuple[str, str], Members]:
    """(n,) which of ``rows`` (one date of the training set) are in each segment, by group and name."""
    new, orders = rows["tenure_days"] <= NEW_DAYS, rows["orders"]
    members_of = {
        ("tenure", f"first seen within {NEW_DAYS} days"): new,
        ("tenure", "known for longer"): ~new,
        ("orders", "one order"): orders == 1,
        ("orders", "two or more orders"): orders >= 2,
    }
    members_of |= {("last purchase", name): members for name, members in _recency_bands(rows["recency_days"]).items()}
    members_of |= {("country", name): members for name, members in _countries(rows["history"]).items()}
    return {key: np.asarray(members, dtype=np.bool_) for key, members in members_of.items()}


def _recency_bands(days: "pd.Series[float]") -> dict[str, "pd.Series[bool]"]:
    edges = [0, *RECENCY_BANDS]
    bands = {
        f"{low or 1} to {high - 1} days ago": (days >= low) & (days < high)
        for low, high in zip(edges, RECENCY_BANDS, strict=False)
    }
    return bands | {f"{edges[-1]} or more days ago": days >= edges[-1]}


def _countries(histories: "pd.Series[Any]") -> dict[str, "pd.Series[bool]"]:
    """The largest countries and all others together; nothing where there is one country or none is known."""
    country = histories.map(_country)
    counts = country.value_counts()
    largest = counts[counts >= MIN_USERS].index[:MAX_COUNTRIES]
    if country.nunique() < 2:
        return {}
    apart = {str(name): country == name for name in largest}
    return apart | {"other or unknown": ~country.isin(largest)}


def _country(history: Mapping[str, Any] | None) -> str | None:
    return dict((history or {}).get("profile") or {}).get("country")


def scores_of(scores: Decisions, members: Members) -> Decisions:
    """What was predicted of the ``members``."""
    return {name: values[members] for name, values in scores.items()}
