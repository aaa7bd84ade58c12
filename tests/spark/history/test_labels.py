"""Labels: what happened in the window after the date, and to whom nothing happened."""

from datetime import date

import pytest

from tests.spark import made
from ulvspark.history.labels import label, training_rows

AS_OF = date(2020, 10, 20)
HORIZON = 10
"""The clocks go back inside: the window is an hour longer than 240 hours."""


def event(user, time, amount, event_type="purchase", relation=None, order=None):
    return {
        "user_id": user, "event_id": f"{user}{time}", "event_time": time, "event_type": event_type,
        "amount": amount, "price_relation": relation, "order_id": order,
    }  # fmt: skip


@pytest.fixture(scope="module")
def labels(spark):
    rows = [
        event("edge", "2020-10-19T22:59:59.999999", "1000"),
        event("edge", "2020-10-19T23:00:00", "1", relation="at", order="a"),
        event("edge", "2020-10-29T23:59:59.999999", "10", relation="below", order="b"),
        event("edge", "2020-10-30T00:00:00", "100"),
        event("mixed", "2020-10-21T10:00", "6", relation="below", order="a"),
        event("mixed", "2020-10-21T10:01", "0", order="a"),
        event("mixed", "2020-10-22T10:00", "2", relation="above"),
        event("mixed", "2020-10-23T10:00", "2.5"),
        event("mixed", "2020-10-24T10:00", "3.2", "return", order="c"),
        event("returner", "2020-10-24T10:00", "5", "return"),
        event("looker", "2020-10-24T10:00", None, "view"),
        event("before", "2020-10-01T10:00", "5"),
    ]
    return label(made.events(spark, rows), AS_OF, HORIZON, "Europe/London")


def test_the_window_is_half_open_between_local_midnights(labels):
    told = {
        user: (row["spend"], row["churned"], row["price_sensitivity"], row["orders_in_horizon"])
        for user, row in made.by_user(labels).items()
    }
    assert told == {
        "edge": (11.0, 0, 10 / 11, 2),
        "mixed": (7.3, 0, 0.75, 2),  # two purchases share an id, and the two without one are one order
        "returner": (0.0, 1, None, 0),
        "looker": (0.0, 1, None, 0),
    }


def test_eligible_users_without_a_label_spent_nothing_and_churned(spark, labels):
    behaviour = spark.createDataFrame(
        [("mixed", True, True), ("before", True, True), ("looker", False, True)],
        "user_id STRING, eligible BOOLEAN, exact BOOLEAN",
    )
    assert made.by_user(training_rows(behaviour, labels)) == {
        "mixed": {"user_id": "mixed", "spend": 7.3, "churned": 0, "price_sensitivity": 0.75, "orders_in_horizon": 2},
        "before": {"user_id": "before", "spend": 0.0, "churned": 1, "price_sensitivity": None, "orders_in_horizon": 0},
    }
