import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ulvspark.contract.tier_bounds import likeliest_tier, tier_of

amounts = st.floats(-1e9, 1e9, allow_nan=False)
bounds = st.lists(amounts, min_size=1, max_size=6, unique=True).map(lambda values: tuple(sorted(values)))


@given(bounds, st.lists(amounts, min_size=1, max_size=20))
def test_every_spend_is_in_exactly_one_half_open_tier(bounds, spend):
    lowest, highest = (-np.inf, *bounds), (*bounds, np.inf)
    tiers = tier_of(np.array(spend), bounds)
    for value, tier in zip(spend, tiers, strict=True):
        holding = [i for i, (low, high) in enumerate(zip(lowest, highest, strict=True)) if low <= value < high]
        assert holding == [tier]


@given(bounds)
def test_a_bound_belongs_to_the_tier_above_it_and_minus_infinity_to_the_lowest(bounds):
    assert tier_of(np.array(bounds), bounds).tolist() == list(range(1, len(bounds) + 1))
    assert tier_of(np.array([-np.inf, np.nextafter(bounds[0], -np.inf)]), bounds).tolist() == [0, 0]


def test_of_equally_likely_tiers_the_lowest_counts():
    assert likeliest_tier(np.array([[0.4, 0.4, 0.2], [0.1, 0.3, 0.6]])).tolist() == [0, 2]
