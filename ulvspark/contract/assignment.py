"""Which arm of an offer a user belongs to: a hash of a salt and the user's id, equal in Python and in Spark's SQL."""

from collections.abc import Iterable
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

TREATMENT, HOLDOUT = "treatment", "holdout"
"""The arms of an offer."""

_DIGITS = 13
"""Hexadecimal digits of the hash that are used: 52 bits, which a double holds exactly."""


def positions(salt: str, user_ids: Iterable[str]) -> NDArray[np.float64]:
    """For each user a number in [0, 1), uniform over users and independent from salt to salt.

    Who is below an offer's holdout share belongs to the holdout arm, so a larger share keeps those who were in it.
    """
    prefix = f"{salt}:"
    hashes = [int(sha256(f"{prefix}{user}".encode()).hexdigest()[:_DIGITS], 16) for user in user_ids]
    return np.array(hashes, np.float64) / 16.0**_DIGITS


def position_sql(salt: str, column: str) -> str:
    """The same number as an expression of Spark's SQL over the column of user ids. ``salt`` holds no quote."""
    digits = f"substring(sha2(concat('{salt}:', {column}), 256), 1, {_DIGITS})"
    return f"CAST(conv({digits}, 16, 10) AS DOUBLE) / {16**_DIGITS}D"
