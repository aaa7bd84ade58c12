import numpy as np

from model_training.evaluation.metrics import METRICS, in_top_share, measure
from tests.outcomes import outcome
from ulvspark.contract.heads import HEADS

SPEND = np.array([0.0, 0.0, 1.0, 2.0, 10.0])


def test_the_top_share_spends():
    assert in_top_share(SPEND).tolist() == [False, False, False, False, True]
    assert not in_top_share(np.zeros(5)).any()


def test_absent_heads_and_undefined_metrics_are_left_out():
    spent = outcome(5, spend=SPEND, tier=np.array([0, 0, 1, 1, 1]))
    probabilities = np.array([[0.9, 0.1]] * 3 + [[0.2, 0.8]] * 2)
    tier_only = {"tier_probabilities": probabilities, "expected_value": SPEND}
    found = measure(spent, tier_only)
    assert set(found) == {"spearman", "gini", "top20_auc", "tier_f1"}
    assert (found["spearman"], found["gini"], found["top20_auc"]) == (1, 1, 1)
    churn = np.linspace(0, 1, 5)
    every = {**tier_only, "expected_value_median": SPEND, "churn_probability": churn, "price_sensitivity": churn}
    # All stay, and no price sensitivity is known.
    assert set(measure(spent, every)) == {"spearman", "gini", "top20_auc", "tier_f1"}


def test_a_metric_names_the_heads_that_suffice_for_it():
    assert METRICS["spearman"].heads == ("tier", "spend")
    assert METRICS["churn_auc"].heads == ("churn",)
    assert METRICS["loss"].heads == tuple(HEADS)
