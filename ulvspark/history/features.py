"""The numbers as models see them: ranks, logarithms and shares, without currency or scale."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ulvspark.contract.spec import HistorySpec
from ulvspark.history.population import Floats, Population


def feature_names(spec: HistorySpec) -> tuple[str, ...]:
    """The columns of ``feature_matrix``, in order."""
    return spec.numbers


def feature_matrix(numbers: pd.DataFrame, population: Population, spec: HistorySpec) -> npt.NDArray[np.float32]:
    """(users, features), NaN = unknown: money as its rank in ``population``, counts as log(1 + x), shares as they are.

    ``numbers`` holds the columns ``spec.numbers``, a row a user.
    """
    money = [population.rank(name, _floats(numbers[name])) for name in spec.money_numbers]
    counts = [np.log1p(_floats(numbers[name])) for name in spec.count_numbers]
    shares = [_floats(numbers[name]) for name in spec.share_numbers]
    return np.column_stack([*money, *counts, *shares]).astype(np.float32)


def _floats(values: "pd.Series[float]") -> Floats:
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
