"""Random numbers by name: of the right distribution, and apart from one another."""

import numpy as np
import pytest

from ulvspark.simulation.draws import Draws, poisson_thresholds

DRAWS = Draws(7)
MANY = np.arange(100_000)


def test_uniform_numbers_are_uniform_and_independent_by_name_and_key():
    first, second = DRAWS.uniform("a", MANY), DRAWS.uniform("b", MANY)
    assert (first.min() > 0, first.max() < 1) == (True, True)
    np.testing.assert_allclose(np.quantile(first, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.01)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.02
    assert abs(np.corrcoef(first, DRAWS.uniform("a", MANY, 1))[0, 1]) < 0.02
    assert abs(np.corrcoef(first, Draws(8).uniform("a", MANY))[0, 1]) < 0.02


def test_a_value_depends_on_its_key_alone():
    matrix = DRAWS.uniform("a", MANY[:10, None], np.arange(5))
    assert matrix[3, 2] == DRAWS.uniform("a", 3, 2)[0]
    np.testing.assert_array_equal(DRAWS.uniform("a", MANY[40:50]), DRAWS.uniform("a", MANY)[40:50])


def test_distributions_have_their_moments():
    normal = DRAWS.normal("n", MANY)
    assert (normal.mean(), normal.std()) == pytest.approx((0, 1), abs=0.02)
    assert DRAWS.exponential("e", MANY).mean() == pytest.approx(1, abs=0.02)
    assert np.bincount(DRAWS.choice([0.2, 0.5, 0.3], "c", MANY)) / 1e5 == pytest.approx([0.2, 0.5, 0.3], abs=0.01)
    ranks = np.bincount(DRAWS.zipf(4, 1.0, "z", MANY)) / 1e5
    assert ranks == pytest.approx(np.array([12, 6, 4, 3]) / 25, abs=0.01)
    counts = np.searchsorted(poisson_thresholds(0.6, 7), DRAWS.uniform("p", MANY))
    assert (counts.mean(), counts.var()) == pytest.approx((0.6, 0.6), abs=0.02)
