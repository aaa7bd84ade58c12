"""Numbers as models see them."""

from datetime import date

import numpy as np
import pandas as pd

from ulvspark.contract.spec import HistorySpec
from ulvspark.history.features import feature_matrix, feature_names
from ulvspark.history.population import Population

SPEC = HistorySpec(windows_days=(30,))


def test_money_becomes_ranks_counts_logarithms_and_shares_stay():
    quantiles = {name: np.linspace(0, 200, 101) for name in SPEC.money_numbers}
    numbers = pd.DataFrame({name: [1.0, None] for name in SPEC.numbers}, dtype=object)
    numbers["net_spend"] = [50.0, 300.0]
    matrix = feature_matrix(numbers, Population(date(2020, 1, 1), 2, 10.0, quantiles), SPEC)
    seen = pd.DataFrame(matrix, columns=list(feature_names(SPEC)))

    assert matrix.dtype == np.float32
    assert seen["net_spend"].tolist() == [0.25, 1.0]
    assert seen["orders_30d"][0] == np.float32(np.log(2))
    assert seen["return_share"][0] == 1
    assert seen.drop(columns="net_spend").loc[1].isna().all()
