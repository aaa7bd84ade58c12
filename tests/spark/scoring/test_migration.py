"""Who moved between tiers, and how steady tiers are."""

import pytest

from ulvspark.scoring.migration import migrate

NAMES = ("low", "mid", "high")
BEFORE = "user_id STRING, previous_tier STRING, previous_raw_tier STRING"
NOW = "user_id STRING, ulv_tier STRING, raw_tier STRING"


def test_users_are_counted_by_the_tier_they_had_and_have(spark):
    before = [("kept", "low", "low"), ("steadied", "low", "mid"), ("rose", "low", "low"), ("fell", "high", "high"),
              ("renamed", "gold", "gold"), ("had none", None, None), ("left", "mid", "mid")]  # fmt: skip
    now = [("kept", "low", "low"), ("steadied", "low", "low"), ("rose", "high", "high"), ("fell", "mid", "mid"),
           ("renamed", "mid", "mid"), ("had none", "mid", "mid"), ("new", "low", "low"),
           ("stranger", None, None)]  # fmt: skip
    migration = migrate(spark.createDataFrame(now, NOW), spark.createDataFrame(before, BEFORE))

    matrix = migration.matrix(NAMES)
    assert list(matrix.columns) == [*NAMES, "no tier"]
    assert {row: list(users) for row, users in matrix.iterrows()} == {
        "low": [2, 0, 1, 0], "mid": [0, 0, 0, 0], "high": [0, 1, 0, 0], "gold": [0, 1, 0, 0], "no tier": [1, 1, 0, 1],
    }  # fmt: skip
    assert migration.counts() == {
        "tier_low_to_low": 2, "tier_low_to_high": 1, "tier_high_to_mid": 1, "tier_gold_to_mid": 1,
    }  # fmt: skip
    # Of the five with tiers on both dates two kept theirs, one of them by hysteresis on the date before.
    assert migration.metrics() == pytest.approx({"tier_stability": 2 / 5, "tier_stability_without_hysteresis": 1 / 5})


def test_nothing_is_said_of_the_first_date(spark):
    migration = migrate(spark.createDataFrame([("a", "low", "low")], NOW), spark.createDataFrame([], BEFORE))
    assert (migration.counts(), migration.metrics()) == ({}, {})
