"""What users did in the label window, as numbers that heads learn from and are judged by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """``labels`` holds (n,) by head: class numbers (int64), amounts in platform scales, counts, 0 or 1, or shares.

    A share is NaN where it is unknown.
    """

    labels: Mapping[str, npt.NDArray[Any]]

    @property
    def spend_in_scales(self) -> Floats:
        """(n,) spend in platform scales. Multiply by the platform scale of the date for the warehouse's currency."""
        return self.labels["spend"]

    @property
    def tier(self) -> npt.NDArray[np.int64]:
        """(n,) numbers of the tiers, 0 lowest."""
        return self.labels["tier"]

    @property
    def users(self) -> int:
        return len(self.spend_in_scales)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Outcome":
        """What some of the users did, given as row numbers or as a mask."""
        return Outcome({head: label[rows] for head, label in self.labels.items()})
