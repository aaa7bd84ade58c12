import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_training.data.tier_fit import TierFit, fit_tiers
from ulvspark.contract.config import validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.tier_bounds import label_tiers


@given(st.lists(st.floats(0, 1e6), min_size=30, max_size=80, unique=True), st.floats(0.01, 1e4))
def test_fitted_tiers_do_not_depend_on_the_currency(spend, rate):
    fit = TierFit(names=("low", "mid", "high"), quantiles=(0.5, 0.8))
    scale = np.full(len(spend), 7.0)
    tiers = fit_tiers(fit, np.array(spend), scale)
    converted = fit_tiers(fit, np.array(spend) * rate, scale * rate)
    assert converted.bounds == pytest.approx(tiers.bounds)
    assert converted.means == pytest.approx(tiers.means)


def test_quantiles_are_in_scales_of_each_rows_own_date():
    fit = TierFit(names=("low", "high"), quantiles=(0.5,))
    spend, scale = np.array([1.0, 3.0, 20.0, 40.0]), np.array([1.0, 1.0, 10.0, 10.0])
    tiers = fit_tiers(fit, spend, scale)
    assert (tiers.bounds, tiers.unit) == ((2.5,), "platform_scale")
    assert label_tiers(tiers, spend, scale).tolist() == [0, 1, 0, 1]
    assert tiers.means == (1.5, 3.5)


def test_amounts_are_in_currency_and_means_in_scales():
    fit = TierFit(names=("low", "high"), amounts=(10.0,))
    spend, scale = np.array([0.0, 10.0, 30.0]), np.array([10.0, 10.0, 10.0])
    tiers = fit_tiers(fit, spend, scale)
    assert (tiers.bounds, tiers.unit, tiers.means) == ((10.0,), "currency", (0.0, 2.0))
    assert label_tiers(tiers, spend, scale).tolist() == [0, 1, 1]


def test_the_lowest_tier_of_spenders_takes_those_who_spend_nothing():
    fit = TierFit(names=("low", "high"), quantiles=(0.5,), of="spenders")
    tiers = fit_tiers(fit, np.array([0.0, 0.0, 0.0, 2.0, 4.0]), np.ones(5))
    assert tiers.bounds == (3.0,)
    assert tiers.means == (0.5, 4.0)


@pytest.mark.parametrize(
    ("fit", "spend", "message"),
    [
        ({"quantiles": (0.2, 0.4), "of": "everyone"}, [0, 0, 0, 0, 9, 9], "are both 0 .*of: spenders"),
        ({"quantiles": (0.2, 0.9), "of": "everyone"}, [0, 0, 0, 0, 9, 9], "falls into low; .*of: spenders"),
        ({"quantiles": (0.2, 0.4), "of": "spenders"}, [0, 9, 9, 9, 9], "are both 9 .*fewer tiers"),
        ({"quantiles": (0.2, 0.4), "of": "spenders"}, [0, 0], "nobody spends"),
        ({"amounts": (5, 100)}, [0, 9, 9], "falls into high; choose amounts"),
    ],
)
def test_tiers_that_cannot_be_told_apart_come_with_a_suggestion(fit, spend, message):
    fit = TierFit(names=("low", "mid", "high"), **fit)
    with pytest.raises(ExpectedError, match=message):
        fit_tiers(fit, np.array(spend, dtype=float), np.ones(len(spend)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "either quantiles or amounts"),
        ({"quantiles": [0.5], "amounts": [1]}, "either quantiles or amounts"),
        ({"quantiles": [0.2, 0.5]}, "2 tier names need 1 bounds, not 2"),
        ({"quantiles": [0.5], "names": ["low", "low"]}, "tier names must differ"),
        ({"quantiles": [1.5]}, "between 0 and 1"),
    ],
)
def test_mistakes_in_the_tier_configuration_are_named(content, message):
    with pytest.raises(ExpectedError, match=message):
        validate(TierFit, {"names": ["low", "high"], **content}, "train.yaml")
