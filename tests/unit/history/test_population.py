"""Ranks within the platform: fixed, monotone, the same for any subset."""

from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ulvspark.history.population import QUANTILE_PROBABILITIES, Population

money = st.floats(-1e6, 1e6).map(lambda amount: round(amount, 4))
platforms = arrays(np.float64, st.integers(1, 60), elements=money)
some_values = arrays(np.float64, st.integers(1, 30), elements=money | st.sampled_from([0.0, np.nan]))


def population(values) -> Population:
    return Population.measured(
        date(2020, 1, 1), len(values), 10.0, {"spend": np.quantile(values, QUANTILE_PROBABILITIES)}
    )


@given(platforms, some_values)
def test_ranks_lie_in_0_1_rise_with_the_value_and_keep_nan(platform, values):
    ranks = population(platform).rank("spend", values)
    known = ~np.isnan(values)
    assert np.array_equal(np.isnan(ranks), ~known)
    assert np.all((ranks[known] >= 0) & (ranks[known] <= 1))
    assert np.all(np.diff(ranks[known][np.argsort(values[known])]) >= 0)


@given(platforms, some_values)
def test_a_user_has_the_same_rank_in_any_subset(platform, values):
    measured = population(platform)
    together = measured.rank("spend", values)
    alone = np.concatenate([measured.rank("spend", values[i : i + 1]) for i in range(len(values))])
    assert np.array_equal(together, alone, equal_nan=True)


@given(platforms, st.integers(0, 100))
def test_a_knot_ranks_in_the_middle_of_the_knots_that_share_its_value(platform, at):
    quantiles = population(platform).quantiles["spend"]
    expected = np.flatnonzero(quantiles == quantiles[at]).mean() / 100
    assert population(platform).rank("spend", quantiles[at : at + 1])[0] == expected


def test_ranks_by_hand():
    # 40 % spent nothing; the others 1 to 60.
    measured = population(np.concatenate([np.zeros(41), np.arange(1, 61)]))
    ranks = measured.rank("spend", np.array([-5.0, 0.0, 0.5, 1.0, 30.25, 60.0, 61.0]))
    np.testing.assert_allclose(ranks, [0, 0.20, 0.405, 0.41, 0.7025, 1, 1], atol=1e-12)


def test_a_population_survives_its_row_as_spark_and_as_arrow_return_it():
    measured = population(np.arange(7.0))
    row = measured.to_row("run")
    for read in (row, row | {"quantiles": list(row["quantiles"].items())}):
        back = Population.from_row(read)
        assert (back.as_of, back.users, back.platform_scale) == (measured.as_of, 7, 10.0)
        assert np.array_equal(back.quantiles["spend"], measured.quantiles["spend"])
