"""What a night cost and would have cost."""

from ulvspark.scoring.sizing import sizing


def test_what_was_reused_would_have_cost_what_reading_costs():
    counts = {"users": 100, "histories_encoded": 10, "histories_reused": 90, "texts_encoded": 0, "texts_reused": 7}
    found = sizing(counts, {"behaviour": 3.0, "encode": 2.0, "texts": 1.0, "decide": 4.0})
    assert found == {
        "seconds_total": 10.0, "users_per_second": 10.0, "histories_per_second": 5.0, "seconds_without_cache": 28.0,
    }  # fmt: skip
