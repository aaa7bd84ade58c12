"""The gates before publishing: what may differ from the night before, and how fresh the events must be."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from ulvspark.contract.config import load_config
from ulvspark.pipelines.score_users import ScoreConfig
from ulvspark.warehouse.publishing.gates import NightFigures, failed_gates

CONFIG = load_config(ScoreConfig, Path(__file__).parents[3] / "conf/score.yaml").gates
DAY = date(2026, 3, 1)
BEFORE = NightFigures(DAY, "v1", 91, 1000, 900, {"low": 600, "high": 300}, 50_000.0)
TONIGHT = replace(BEFORE, as_of=DAY + timedelta(days=1))
YESTERDAY = DAY


def test_a_night_like_the_one_before_and_a_first_night_pass():
    grown = replace(TONIGHT, users=1100, scored=980, tiers={"low": 640, "high": 340}, expected_value=60_000.0)
    assert failed_gates(TONIGHT, BEFORE, YESTERDAY, CONFIG) == failed_gates(grown, BEFORE, YESTERDAY, CONFIG) == []
    assert failed_gates(TONIGHT, None, YESTERDAY, CONFIG) == []


CHANGES = {
    "half of the users are lost": (
        {"users": 500, "scored": 450, "tiers": {"low": 300, "high": 150}, "expected_value": 25_001.0},
        ["users: 500 after 1,000 on 2026-03-01, allowed is a change of 20%"],
    ),
    "users come twice": (
        {"users": 2000, "scored": 1800, "tiers": {"low": 1200, "high": 600}},
        ["users: 2,000 after 1,000 on 2026-03-01, allowed is a change of 20%"],
    ),
    "fewer have a history": (
        {"scored": 700, "tiers": {"low": 467, "high": 233}},
        ["scored_share: 0.7000 after 0.9000 on 2026-03-01, allowed is a difference of 0.1"],
    ),
    "a tier empties": (
        {"tiers": {"low": 900}, "expected_value": 20_000.0},
        [
            "tier_share_high: 0.0000 after 0.3333 on 2026-03-01, allowed is a difference of 0.1",
            "tier_share_low: 1.0000 after 0.6667 on 2026-03-01, allowed is a difference of 0.1",
            "total expected_value: 20,000 after 50,000 on 2026-03-01, allowed is a change of 50%",
        ],
    ),
}


@pytest.mark.parametrize(("changes", "said"), CHANGES.values(), ids=CHANGES)
def test_every_gate_that_says_no_is_named_with_both_figures(changes, said):
    assert failed_gates(replace(TONIGHT, **changes), BEFORE, YESTERDAY, CONFIG) == said


def test_a_new_model_has_limits_of_its_own_and_other_tiers_or_horizons_are_not_compared():
    moved = replace(TONIGHT, tiers={"low": 400, "high": 500}, expected_value=90_000.0)
    assert len(failed_gates(moved, BEFORE, YESTERDAY, CONFIG)) == 3
    assert failed_gates(replace(moved, model_version="v2"), BEFORE, YESTERDAY, CONFIG) == []
    other = replace(moved, model_version="v2", tiers={"a": 900}, horizon_days=365, expected_value=1e9)
    assert failed_gates(other, BEFORE, YESTERDAY, CONFIG) == []
    assert failed_gates(replace(other, users=10), BEFORE, YESTERDAY, CONFIG) != []
    assert failed_gates(replace(TONIGHT, expected_value=None), BEFORE, YESTERDAY, CONFIG) == []


def test_events_must_be_fresh_on_a_first_night_too():
    limit = CONFIG.max_event_age_days
    assert failed_gates(TONIGHT, None, TONIGHT.as_of - timedelta(days=limit), CONFIG) == []
    assert failed_gates(TONIGHT, None, TONIGHT.as_of - timedelta(days=limit + 1), CONFIG) == [
        "the newest event before 2026-03-02 is of 2026-02-26, 4 days old, allowed 3"
    ]
    assert failed_gates(TONIGHT, BEFORE, None, CONFIG) == ["there is no event before 2026-03-02"]
