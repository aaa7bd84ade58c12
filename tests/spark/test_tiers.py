"""Which tier a score gets."""

import math
from datetime import date

from ulvspark.contract.spec import TierSpec
from ulvspark.scoring.tier_rule import tier_of
from ulvspark.scoring.tiers import TierDecision, assign, previous_tiers

TIERS = TierSpec(names=("low", "mid", "high"), bounds=(0.5, 2.0), unit="platform_scale", means=(0.1, 1.0, 5.0))
MARGIN = TierDecision(hysteresis_margin=0.125)
DECIDED = "user_id STRING, tier_probabilities ARRAY<DOUBLE>, expected_value DOUBLE"
PREVIOUS = "user_id STRING, previous_tier STRING"


def tiers_of(spark, decided, previous=(), tiers=TIERS, platform_scale=10.0):
    frames = spark.createDataFrame(decided, DECIDED), spark.createDataFrame(list(previous), PREVIOUS)
    return {row.user_id: row for row in assign(*frames, tiers, platform_scale, MARGIN).collect()}


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


def test_previous_tiers_are_those_of_the_newest_date(spark):
    days = [date(2020, 1, 1), date(2020, 2, 1)]
    rows = [("a", days[0], "low"), ("a", days[1], "high"), ("left", days[0], "mid")]
    history = spark.createDataFrame(rows, "user_id STRING, as_of_date DATE, ulv_tier STRING")
    assert previous_tiers(history).collect() == [("a", "high")]
    assert previous_tiers(history.limit(0)).collect() == []
