import numpy as np

from model_training.evaluation.metrics import Outcome, in_top_share, measure
from ulvspark.model.parts.predictions import Decisions

SPEND = np.array([0.0, 0.0, 1.0, 2.0, 10.0])


def test_the_top_share_spends():
    assert in_top_share(SPEND).tolist() == [False, False, False, False, True]
    assert not in_top_share(np.zeros(5)).any()


def test_absent_heads_and_undefined_metrics_are_left_out():
    outcome = Outcome(SPEND, np.zeros(5), np.array([0, 0, 1, 1, 1]), np.full(5, np.nan))
    probabilities = np.array([[0.9, 0.1]] * 3 + [[0.2, 0.8]] * 2)
    tier_only = Decisions(probabilities, SPEND, None, None, None)
    found = measure(outcome, tier_only, ("tier",))
    assert set(found) == {"spearman", "gini", "top20_auc", "tier_f1"}
    assert (found["spearman"], found["gini"], found["top20_auc"]) == (1, 1, 1)
    churn = np.linspace(0, 1, 5)
    every = Decisions(probabilities, SPEND, SPEND, churn, churn)
    heads = ("tier", "spend", "churn", "price_sensitivity")
    # All stay, and no price sensitivity is known.
    assert set(measure(outcome, every, heads)) == {"spearman", "gini", "top20_auc", "tier_f1"}
