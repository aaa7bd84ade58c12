"""The population on a date: it turns money into ranks within the platform, and spend into platform scales."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

QUANTILE_PROBABILITIES: tuple[float, ...] = tuple(step / 100 for step in range(101))
"""The quantiles that describe the distribution of a money number."""


@dataclass(frozen=True, eq=False)
class Population:
    """Fixed facts of the whole platform on ``as_of``, so that a user has the same ranks in any subset of the users."""

    as_of: date
    users: int
    """Users with an event before ``as_of``."""
    platform_scale: float
    """In the warehouse's currency."""
    quantiles: dict[str, Floats]
    """(101,) by money number: its quantiles at ``QUANTILE_PROBABILITIES``, ascending."""

    @classmethod
    def measured(cls, as_of: date, users: int, platform_scale: float, quantiles: Mapping[str, Iterable[float]]) -> Self:
        """The same with quantiles of any kind of sequence."""
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in quantiles.items()}
        return cls(as_of, users, platform_scale, arrays)

    def rank(self, name: str, values: Floats) -> Floats:
        """The share of the platform below each value of the money number ``name``, in [0, 1]; NaN stays NaN.

        Linear between quantiles. A value that equals several quantiles gets the middle of them, so a common value
        (zero spend, say) ranks in the middle of the users who share it. Ranks rise with the value, and a user's rank
        depends on that user's value alone.
        """
        quantiles = self.quantiles[name]
        values = np.asarray(values, dtype=np.float64)
        left, right = np.searchsorted(quantiles, values, "left"), np.searchsorted(quantiles, values, "right")
        on_quantiles = (left + right - 1) / 2
        below = np.clip(left - 1, 0, len(quantiles) - 2)
        width = quantiles[below + 1] - quantiles[below]
        part = np.divide(values - quantiles[below], width, out=np.zeros_like(values), where=width > 0)
        position = np.where(left < right, on_quantiles, below + np.clip(part, 0.0, 1.0))
        return np.where(np.isnan(values), np.nan, position / (len(quantiles) - 1))

    def to_row(self, run_id: str) -> dict[str, Any]:
        """The row of the ``populations`` table written by run ``run_id``."""
        return {
            "run_id": run_id,
            "as_of_date": self.as_of,
            "users": self.users,
            "platform_scale": self.platform_scale,
            "quantiles": {name: values.tolist() for name, values in self.quantiles.items()},
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of ``populations``, where Spark gives the quantiles as a mapping and Arrow as pairs."""
        return cls.measured(row["as_of_date"], int(row["users"]), float(row["platform_scale"]), dict(row["quantiles"]))
