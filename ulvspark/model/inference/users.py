"""Users as a model sees them on one date: their recent events, their numbers and the platform they buy on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ulvspark.history.population import Population


@dataclass(frozen=True)
class Users:
    """Of n users; ``histories`` are values of ``schema.HISTORY_TYPE``, ``numbers`` has a row for each user."""

    histories: Sequence[Any]
    numbers: pd.DataFrame
    population: Population
