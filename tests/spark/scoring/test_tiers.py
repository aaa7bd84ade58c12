"""Which tier a score gets."""

import math
from datetime import date

import pytest

from ulvspark.contract.spec import TierSpec
from ulvspark.contract.tier_bounds import tier_of
from ulvspark.scoring import quotas
from ulvspark.scoring.tiers import TierDecision, assign, previous_tiers

TIERS = TierSpec(names=("low", "mid", "high"), bounds=(0.5, 2.0), unit="platform_scale", means=(0.1, 1.0, 5.0))
MARGIN = TierDecision(hysteresis_margin=0.125)
DECIDED = "user_id STRING, tier_probabilities ARRAY<DOUBLE>, expected_value DOUBLE"
PREVIOUS = "user_id STRING, previous_tier STRING"


def tiers_of(spark, decided, previous=(), tiers=TIERS, platform_scale=10.0, decision=MARGIN):
    frames = spark.createDataFrame(decided, DECIDED), spark.createDataFrame(list(previous), PREVIOUS)
    return {row.user_id: row for row in assign(*frames, tiers, platform_scale, decision).collect()}


def test_the_likeliest_tier_wins_unless_the_one_before_is_nearly_as_likely(spark):
    close, clear = [0.375, 0.5, 0.125], [0.25, 0.5, 0.25]
    decided = [
        (name, probabilities, 1.0)
        for name, probabilities in {
            "new": close, "stays": close, "moves": clear, "same": close, "renamed": close, "tie": [0.25, 0.375, 0.375],
        }.items()
    ]  # fmt: skip
    previous = [("stays", "low"), ("moves", "low"), ("same", "mid"), ("renamed", "gold"), ("gone", "high")]
    found = tiers_of(spark, [*decided, ("no history", None, None)], previous)

    assert {user: row.ulv_tier for user, row in found.items()} == {
        "new": "mid", "stays": "low", "moves": "mid", "same": "mid", "renamed": "mid", "tie": "mid", "no history": None,
    }  # fmt: skip
    assert found["stays"].raw_tier == "mid"
    assert found["renamed"].previous_tier == "gold"
    assert found["new"].tier_probabilities == {"low": 0.375, "mid": 0.5, "high": 0.125}
    assert found["no history"].tier_probabilities is None


def test_without_probabilities_the_expected_value_falls_into_a_half_open_tier(spark):
    values = [0.0, math.nextafter(5.0, 0), 5.0, 19.0, 20.0, 1e9]
    found = tiers_of(spark, [(str(value), None, value) for value in values], [("5.0", "low")])
    by_rule = [TIERS.names[i] for i in tier_of([value / 10 for value in values], TIERS.bounds)]
    assert [found[str(value)].ulv_tier for value in values] == by_rule == ["low", "low", "mid", "mid", "high", "high"]

    in_currency = TIERS.model_copy(update={"unit": "currency"})
    assert tiers_of(spark, [("u", None, 1.9)], tiers=in_currency)["u"].ulv_tier == "mid"


COSTS = {
    "low": {"low": 0.0, "mid": 1.0, "high": 2.0},
    "mid": {"low": 2.0, "mid": 0.0, "high": 1.0},
    "high": {"low": 8.0, "mid": 3.0, "high": 0.0},
}


def test_the_tier_of_least_expected_cost_wins_unless_little_is_gained(spark):
    # Expected costs of low, mid, high; by probability all three are low users.
    cases = {
        "sure": [1.0, 0.0, 0.0],  # 0, 1, 2
        "new": [0.625, 0.25, 0.125],  # 1.5, 1, 1.5
        "stays": [0.625, 0.25, 0.125],  # half a unit more at low than at mid
        "moves": [0.5, 0.375, 0.125],  # 1.75, 0.875, 1.375
        "tie": [0.75, 0.0, 0.25],  # 2, 1.5, 1.5
        "valuable": [0.5, 0.0, 0.5],  # 4, 2, 1
    }
    decision = TierDecision(hysteresis_margin=0.5, costs=COSTS)
    previous = [("stays", "low"), ("moves", "low"), ("valuable", "gold")]
    decided = [(name, probabilities, 1.0) for name, probabilities in cases.items()]
    found = tiers_of(spark, [*decided, ("no history", None, None)], previous, decision=decision)

    assert {user: row.raw_tier for user, row in found.items()} == {
        "sure": "low", "new": "mid", "stays": "mid", "moves": "mid", "tie": "mid", "valuable": "high",
        "no history": None,
    }  # fmt: skip
    changed = {user: row.ulv_tier for user, row in found.items() if row.ulv_tier != row.raw_tier}
    assert changed == {"stays": "low"}, "moves gains 0.875, and gold is no tier of the bundle"
    assert found["new"].tier_probabilities == {"low": 0.625, "mid": 0.25, "high": 0.125}


def test_quotas_give_the_best_tier_to_the_users_of_greatest_value(spark):
    decision = TierDecision(hysteresis_margin=0.05, quotas={"high": 0.1, "mid": 0.3})
    # 100 ranks by value: high is above 90, mid above 60. Within five ranks of their tier's edges users stay.
    previous = {"u89": "high", "u86": "high", "u94": "mid", "u101": "mid", "u58": "mid", "u56": "mid", "u65": "low",
                "u75": "low", "u95": "low", "u50": "gold", "no history": "low"}  # fmt: skip
    decided = [(f"u{value}", None, float(value)) for value in range(2, 102)]
    found = tiers_of(spark, [*decided, ("no history", None, None)], previous.items(), decision=decision)

    raw = {user: row.raw_tier for user, row in found.items()}
    ranks = {user: int(user[1:]) - 1 for user in raw if user != "no history"}
    assert raw == {
        user: "high" if rank > 90 else "mid" if rank > 60 else "low" for user, rank in ranks.items()
    } | {"no history": None}  # fmt: skip
    changed = {user: row.ulv_tier for user, row in found.items() if row.ulv_tier != row.raw_tier}
    assert changed == {"u89": "high", "u94": "mid", "u58": "mid", "u65": "low"}


def test_quotas_of_a_large_platform_are_cut_on_a_sample_of_it(spark, monkeypatch):
    monkeypatch.setattr(quotas, "QUOTA_SAMPLE", 2_000)
    decision = TierDecision(hysteresis_margin=0, quotas={"high": 0.1, "mid": 0.3})
    decided = spark.range(20_000).selectExpr(
        "cast(id AS STRING) AS user_id",
        "cast(null AS ARRAY<DOUBLE>) AS tier_probabilities",
        "cast(id AS DOUBLE) AS expected_value",
    )
    previous = spark.createDataFrame([], PREVIOUS)
    tiered = assign(decided, previous, TIERS, 10.0, decision)
    shares = {row.raw_tier: row["count"] / 20_000 for row in tiered.groupBy("raw_tier").count().collect()}
    assert shares == pytest.approx({"low": 0.6, "mid": 0.3, "high": 0.1}, abs=0.03)
    assert shares["high"] != 0.1, "the cut of the sample is not exactly everyone's"


def test_users_of_equal_value_share_a_tier(spark):
    decision = TierDecision(hysteresis_margin=0, quotas={"high": 0.25, "mid": 0.25})
    decided = [(str(number), None, value) for number, value in enumerate([0.0] * 7 + [9.0])]
    found = tiers_of(spark, decided, [("0", "high"), ("1", "mid")], decision=decision)
    assert [found[str(number)].ulv_tier for number in range(8)] == ["low"] * 7 + ["high"]


def test_previous_tiers_are_those_of_the_newest_date(spark):
    days = [date(2020, 1, 1), date(2020, 2, 1)]
    rows = [("a", days[0], "low", "low"), ("a", days[1], "high", "mid"), ("left", days[0], "mid", "mid")]
    history = spark.createDataFrame(rows, "user_id STRING, as_of_date DATE, ulv_tier STRING, raw_tier STRING")
    assert previous_tiers(history).collect() == [("a", "high", "mid")]
    assert previous_tiers(history.limit(0)).collect() == []
