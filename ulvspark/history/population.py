"""The population on a date: what turns money into ranks within the platform, and spend into platform units."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KNOT_PROBABILITIES: tuple[float, ...] = tuple(step / 100 for step in range(101))
"""Probabilities of the quantiles that stand for a distribution of money."""


@dataclass(frozen=True, eq=False)
class Population:
    """Fixed facts of the whole platform on ``as_of``, so that a subset of users gets the same ranks.

    ``users`` have a history; ``platform_scale`` is in the warehouse's currency; ``knots`` holds, by money number,
    its quantiles at ``KNOT_PROBABILITIES``, ascending, shape (101,).
    """

    as_of: date
    users: int
    platform_scale: float
    knots: dict[str, Floats]

    @classmethod
    def measured(cls, as_of: date, users: int, platform_scale: float, knots: Mapping[str, Iterable[float]]) -> Self:
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in knots.items()}
        return cls(as_of, users, platform_scale, arrays)

    def rank(self, name: str, values: Floats) -> Floats:
        """The share of the platform below each value of the money number ``name``, in [0, 1]; NaN stays NaN.

        Linear between knots; a value held by several knots gets the middle of them, so that a common value (zero
        spend, say) ranks in the middle of those who share it. It rises with the value and looks at one user at a time.
        """
        knots = self.knots[name]
        values = np.asarray(values, dtype=np.float64)
        left, right = np.searchsorted(knots, values, "left"), np.searchsorted(knots, values, "right")
        on_knots = (left + right - 1) / 2
        below = np.clip(left - 1, 0, len(knots) - 2)
        width = knots[below + 1] - knots[below]
        part = np.divide(values - knots[below], width, out=np.zeros_like(values), where=width > 0)
        position = np.where(left < right, on_knots, below + np.clip(part, 0.0, 1.0))
        return np.where(np.isnan(values), np.nan, position / (len(knots) - 1))

    def to_row(self, run_id: str) -> dict[str, Any]:
        """The row of the ``populations`` table written by run ``run_id``."""
        return {
            "run_id": run_id,
            "as_of_date": self.as_of,
            "users": self.users,
            "platform_scale": self.platform_scale,
            "knots": {name: values.tolist() for name, values in self.knots.items()},
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of ``populations``, whose knots are a mapping (Spark) or pairs (Arrow)."""
        return cls.measured(row["as_of_date"], int(row["users"]), float(row["platform_scale"]), dict(row["knots"]))
