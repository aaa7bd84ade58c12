"""Scores that must not be published, and what is said of them."""

from datetime import UTC, date, datetime

from ulvspark.contract import schema
from ulvspark.contract.heads import DEFAULT_HEADS
from ulvspark.warehouse.publishing.verify import VerifyLimits, verify

LIMITS = VerifyLimits(min_scored_share=0.5, min_tier_share=0.2, max_tier_share=0.8)
GOOD = {
    "as_of_date": date(2020, 3, 1), "horizon_days": 90, "currency": "GBP", "ulv_tier": "low", "raw_tier": "low",
    "tier_probabilities": {"low": 0.75, "high": 0.25}, "expected_value": 10.0, "expected_value_median": 0.0,
    "churn_probability": 0.5, "price_sensitivity": 0.5, "status": "scored", "model_version": "v", "run_id": "r",
    "scored_at": datetime(2020, 3, 1, tzinfo=UTC),
}  # fmt: skip
HIGH = {"ulv_tier": "high", "raw_tier": "high"}
NO_HISTORY = dict.fromkeys((*HIGH, "tier_probabilities", "expected_value", "expected_value_median",
                            "churn_probability", "price_sensitivity")) | {"status": "no_history"}  # fmt: skip


def scores(spark, *changes):
    rows = [GOOD | {"user_id": f"u{number}"} | change for number, change in enumerate(changes)]
    return spark.createDataFrame([tuple(map(row.get, schema.SCORES.names)) for row in rows], schema.SCORES.ddl)


def refusal(spark, *changes, heads=DEFAULT_HEADS, users=None):
    frame = scores(spark, {}, HIGH, *changes)
    return "; ".join(verify(frame, users or 2 + len(changes), heads, ("low", "high"), LIMITS).failures)


def test_sound_scores_pass_and_tell_their_shares(spark):
    verified = verify(scores(spark, {}, HIGH, {}, NO_HISTORY), 4, DEFAULT_HEADS, ("low", "high"), LIMITS)
    assert verified.failures == []
    assert verified.shares == {"scored_share": 0.75, "tier_share_low": 2 / 3, "tier_share_high": 1 / 3}


def test_every_fault_is_named_at_once(spark):
    faults = {
        "lack currency": {"currency": None},
        "are scored and lack expected_value": {"expected_value": None},
        "are scored and lack price_sensitivity": {"price_sensitivity": None},
        "have an unknown status": NO_HISTORY | {"status": "pending"},
        "have a tier without a history": NO_HISTORY | {"ulv_tier": "low"},
        "have churn_probability outside 0 to 1": {"churn_probability": 1.01},
        "have price_sensitivity outside 0 to 1": {"price_sensitivity": float("nan")},
        "have expected_value below 0 or not finite": {"expected_value": float("inf")},
        "have expected_value_median below 0 or not finite": {"expected_value_median": -0.01},
        "have expected_orders below 0 or not finite": {"expected_orders": -1.0},
        "have an interval of expected_value that does not hold the median": {
            "expected_value_low": 0.5,
            "expected_value_high": 9.0,
        },
        "have tier_probabilities outside 0 to 1": {"tier_probabilities": {"low": 1.5, "high": -0.5}},
        "have tier_probabilities that do not sum to 1": {"tier_probabilities": {"low": 0.75, "high": 0.24}},
    }
    message = refusal(spark, *faults.values(), *[HIGH] * 5)
    assert [fault for fault in faults if f"1 rows {fault}" not in message] == []
    assert message.count(";") == len(faults) - 1


def test_a_bundle_with_the_head_orders_fills_expected_orders(spark):
    heads = (*DEFAULT_HEADS, "orders")
    sound = scores(spark, {"expected_orders": 0.0}, HIGH | {"expected_orders": 2.5})
    assert verify(sound, 2, heads, ("low", "high"), LIMITS).failures == []
    message = refusal(spark, {"expected_orders": float("nan")}, HIGH | {"expected_orders": -0.1}, heads=heads)
    assert "2 rows are scored and lack expected_orders" in message
    assert "2 rows have expected_orders below 0 or not finite" in message


def test_rows_in_are_rows_out(spark):
    assert refusal(spark, {"user_id": "u0"}, users=2) == ("3 rows for 2 users; 1 rows repeat a user")


def test_shares_have_limits(spark):
    message = refusal(spark, *[{}] * 8, *[NO_HISTORY] * 20)
    assert message == (
        "scored_share is 0.3333, allowed are 0.5 to 1; "
        "tier_share_low is 0.9000, allowed are 0.2 to 0.8; tier_share_high is 0.1000, allowed are 0.2 to 0.8"
    )


def test_absent_heads_may_be_null(spark):
    absent = dict.fromkeys((*HIGH, "tier_probabilities", "expected_value", "expected_value_median"))
    verified = verify(scores(spark, absent), 1, ("churn", "price_sensitivity"), ("low", "high"), LIMITS)
    assert (verified.shares, verified.failures) == ({"scored_share": 1.0}, [])
