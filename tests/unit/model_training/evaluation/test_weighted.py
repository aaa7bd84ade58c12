"""Weighted statistics: of weights they must equal the library's of the resample that the weights count."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from model_training.evaluation import weighted
from model_training.evaluation.weighted import ones

N = 300
rng = np.random.default_rng(3)
SPEND = np.where(rng.random(N) < 0.5, 0, rng.lognormal(0, 1, N).round(1))
SCORE = (SPEND + rng.normal(0, 2, N)).round(0)  # many ties
LEFT = rng.random(N) < 1 / (1 + SPEND)
DRAWN = [rng.integers(0, N, N) for _ in range(5)]
WEIGHTS = np.stack([np.bincount(drawn, minlength=N) for drawn in DRAWN]).astype(float)


def textbook_gini(amount, score):
    """Area under the piecewise linear gains curve, tied users one piece."""

    def area(by):
        order = np.unique(by)[::-1]
        x = np.cumsum([0, *((by == each).mean() for each in order)])
        y = np.cumsum([0, *(amount[by == each].sum() / amount.sum() for each in order)])
        return np.trapezoid(y, x) - 0.5

    return area(score) / area(amount)


@pytest.mark.parametrize(
    ("ours", "library"),
    [
        (lambda w: weighted.spearman(SPEND, SCORE, w), lambda i: spearmanr(SPEND[i], SCORE[i]).statistic),
        (lambda w: weighted.auc(LEFT, SCORE, w), lambda i: roc_auc_score(LEFT[i], SCORE[i])),
        (lambda w: weighted.average_precision(LEFT, SCORE, w), lambda i: average_precision_score(LEFT[i], SCORE[i])),
        (lambda w: weighted.gini(SPEND, SCORE, w), lambda i: textbook_gini(SPEND[i], SCORE[i])),
        (
            lambda w: weighted.macro_f1((SPEND > 1).astype(int), (SCORE > 1).astype(int), w),
            lambda i: f1_score(SPEND[i] > 1, SCORE[i] > 1, average="macro"),
        ),
        (lambda w: weighted.mean(SPEND, w), lambda i: SPEND[i].mean()),
    ],
    ids=["spearman", "auc", "average_precision", "gini", "macro_f1", "mean"],
)
def test_a_statistic_of_weights_is_the_library_s_of_the_resample(ours, library):
    np.testing.assert_allclose(ours(WEIGHTS), [library(drawn) for drawn in DRAWN], rtol=1e-10)
    np.testing.assert_allclose(ours(ones(N)), library(np.arange(N)), rtol=1e-10)


def test_the_top_share_splits_a_tie_at_its_edge():
    score = np.array([3.0, 2.0, 2.0, 2.0, 1.0])
    np.testing.assert_allclose(weighted.top(score, 0.4, ones(5)), [[1, 1 / 3, 1 / 3, 1 / 3, 0]])
    np.testing.assert_allclose(weighted.recall(np.array([1, 1, 0, 0, 0]) > 0, score, 0.4, ones(5)), [2 / 3])
    amount = np.array([6.0, 0, 0, 0, 4.0])
    np.testing.assert_allclose(weighted.lift(amount, score, 0.4, ones(5)), [1.5])


def test_deciles_and_calibration_of_known_error():
    spend = np.repeat(np.arange(10.0), 20)
    np.testing.assert_allclose(weighted.decile_error(spend, spend * 1.5, ones(200)), [0.5])
    # The lowest decile holds no spend: a percentage of it is not defined, and it is left out.
    probability = np.repeat([0.1, 0.3, 0.9], 100)
    label = np.concatenate([np.arange(100) < 10, np.arange(100) < 50, np.arange(100) < 90]).astype(float)
    np.testing.assert_allclose(weighted.calibration_error(label, probability, ones(300)), [0.2 / 3], atol=1e-12)


def test_what_is_not_defined_is_nan():
    one_class = np.zeros(4) > 0
    score = np.arange(4.0)
    assert np.isnan(weighted.auc(one_class, score, ones(4))).all()
    assert np.isnan(weighted.gini(np.zeros(4), score, ones(4))).all()
    assert np.isnan(weighted.spearman(np.zeros(4), score, ones(4))).all()
    assert np.isnan(weighted.average_precision(one_class, score, ones(4))).all()


def test_confusion_counts_actual_by_row():
    table = weighted.confusion(np.array([0, 1, 2, 2]), np.array([0, 2, 2, 1]), 3, np.array([[1.0, 2.0, 3.0, 4.0]]))
    np.testing.assert_array_equal(table[0], [[1, 0, 0], [0, 0, 2], [0, 4, 3]])
