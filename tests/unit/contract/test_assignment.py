"""Arms by hash: uniform, and independent from salt to salt."""

import numpy as np

from ulvspark.contract.assignment import positions


def test_positions_are_uniform_and_independent_from_salt_to_salt():
    users = [f"user-{number}" for number in range(20_000)]
    first, second = positions("a", users), positions("b", users)
    np.testing.assert_allclose(np.quantile(first, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.02)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert positions("a", ["user-7"])[0] == first[7]


def test_the_position_of_a_user_never_changes():
    assert positions("spring", ["u1", "ü2"]).round(6).tolist() == [0.43884, 0.720316]
