"""The configuration of a simulation: what contradicts itself is said in one sentence."""

from datetime import date

import pytest

from ulvspark.contract.config import validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.simulation.config import SimulationConfig

OFFER = {"name": "a", "salt": "s", "first_day": date(2023, 5, 1)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"signals": {"words": 0.6, "pictures": 0.5}}, "add up to 1.45 of the variance of log spend; lower some"),
        ({"users": 0}, "users: Input should be greater than or equal to 1"),
        ({"drift": [{"what": "prices", "since": date(2022, 1, 1), "strength": 1}]}, "begins on 2022-01-01, before the"),
        ({"drift": [{"what": "taste", "since": date(2023, 5, 1), "strength": 1.5}]}, "strength of taste is a share"),
        ({"drift": [{"what": "moon", "since": date(2023, 5, 1), "strength": 1}]}, "drift.0.what"),
        ({"offers": [OFFER | {"first_day": date(2022, 1, 1)}]}, "a begins on 2022-01-01, before the platform does"),
        ({"offers": [OFFER, OFFER]}, "two offers have the same name; rename one"),
        ({"offers": [OFFER | {"helped": 0.7, "lost": 0.5}]}, "helped and lost add up to more than 1; lower one"),
        ({"behaviour": {"sign_up_only": 0.7, "browsers": 0.5}}, "sign_up_only and browsers add up to more than 1"),
        ({"days": 10}, "days: Input should be greater than or equal to 60"),
    ],
)
def test_what_contradicts_itself_is_one_sentence(content, said):
    with pytest.raises(ExpectedError, match=said):
        validate(SimulationConfig, content, "conf/simulation.yaml")
