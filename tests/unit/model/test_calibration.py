"""Calibration: what it corrects, what it leaves alone, and intervals that hold what they say."""

from datetime import date

import numpy as np
import pytest
import torch

from model_training.blending.calibrate import fit_calibration, fit_classes, fit_level, fit_probability, fit_tail
from model_training.data.outcome import Outcome
from tests import tiny
from tests.outcomes import outcome
from ulvspark.model.network.heads import ZeroInflatedLognormal
from ulvspark.model.parts.calibration import Calibration, CountCalibration
from ulvspark.model.parts.predictions import Predicted, Prediction, to_scores

WINDOW = (date(2020, 1, 1),)


def users(seed: int, n: int) -> tuple[ZeroInflatedLognormal, np.ndarray]:
    """A distribution for each of n users, and what each spends by it."""
    dice = np.random.default_rng(seed)
    probability, mu, sigma = dice.uniform(0.05, 0.95, n), dice.normal(0, 1, n), dice.uniform(0.5, 1.2, n)
    spend = (dice.random(n) < probability) * np.exp(dice.normal(mu, sigma))
    return ZeroInflatedLognormal(*(torch.from_numpy(each) for each in (probability, mu, sigma))), spend


def tiers(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """True probabilities (n, 3) and tiers drawn from them."""
    dice = np.random.default_rng(seed)
    truth = dice.dirichlet([1.5, 1, 0.5], n).clip(1e-4)
    truth /= truth.sum(axis=1, keepdims=True)
    return truth, (dice.random(n)[:, None] > truth.cumsum(axis=1)[:, :2]).sum(axis=1)


def log_loss(probabilities: np.ndarray, tier: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(tier)), tier]).mean())


def distorted(truth: np.ndarray) -> np.ndarray:
    """Overconfident, and fond of the last tier."""
    raised = truth**2.5 * np.array([1, 1, 3])
    return raised / raised.sum(axis=1, keepdims=True)


def test_tier_probabilities_sum_to_one_and_lose_less_on_new_users() -> None:
    truth, tier = tiers(0, 2000)
    found = fit_classes(distorted(truth), tier)
    new_truth, new_tier = tiers(1, 5000)
    calibrated = found.correct(distorted(new_truth))
    np.testing.assert_allclose(calibrated.sum(axis=1), 1, atol=1e-12)
    before, after, best = (log_loss(each, new_tier) for each in (distorted(new_truth), calibrated, new_truth))
    assert after < before - 0.1
    assert after == pytest.approx(best, abs=0.01)


def test_probabilities_are_corrected_and_keep_their_order() -> None:
    dice = np.random.default_rng(2)
    truth = dice.uniform(0.02, 0.98, 4000)
    label = (dice.random(4000) < truth).astype(float)
    odds = (truth / (1 - truth)) ** 2 * 3
    wrong = odds / (1 + odds)
    right = fit_probability(wrong, label).correct(wrong)
    np.testing.assert_allclose(right, truth, atol=0.03)
    assert (np.argsort(right, kind="stable") == np.argsort(wrong, kind="stable")).all()


def test_extreme_probabilities_and_a_single_class_stay_finite() -> None:
    found = fit_probability(np.array([0.0, 1.0, 0.5]), np.ones(3))
    assert np.isfinite(found.correct(np.array([0.0, 1.0]))).all()
    assert np.isfinite(fit_classes(np.eye(3), np.array([1, 1, 1])).correct(np.eye(3))).all()


@pytest.mark.parametrize("wrong", ["right", "narrow", "wide", "shifted"])
@pytest.mark.parametrize("coverage", [0.8, 0.5])
def test_intervals_cover_what_they_say_even_of_a_wrong_distribution(wrong: str, coverage: float) -> None:
    def seen(seed: int, n: int) -> tuple[ZeroInflatedLognormal, np.ndarray]:
        spend = users(seed, n)[0]
        changed = {"right": {}, "narrow": {"sigma": spend.sigma / 2}, "wide": {"sigma": spend.sigma * 2},
                   "shifted": {"mu": spend.mu + 0.7}}[wrong]  # fmt: skip
        return spend._replace(**changed), users(seed, n)[1]

    tail = fit_tail(*seen(3, 1500), coverage)
    assert 0 < tail < 0.5
    distribution, spend = seen(4, 4000)
    low, high = (distribution.quantile(q).numpy() for q in (tail, 1 - tail))
    # Half of the users may spend nothing, and an interval that begins at 0 holds them for sure.
    assert ((low <= spend) & (spend <= high)).mean() == pytest.approx(coverage, abs=0.03)


def test_the_level_follows_many_users_and_not_a_single_one() -> None:
    dice = np.random.default_rng(5)
    value = dice.lognormal(0, 0.5, 3000)
    assert fit_level(value, 0.5 * value * dice.lognormal(0, 0.3, 3000)) == pytest.approx(0.52, abs=0.03)
    spend = value.copy()
    spend[0] += value.sum()
    assert spend.sum() / value.sum() == pytest.approx(2)
    assert fit_level(value, spend) < 1.3
    assert fit_level(value, np.zeros(3000)) == 1.0


def test_a_count_is_corrected_in_its_level_alone() -> None:
    dice = np.random.default_rng(8)
    mean = dice.gamma(2, 1, 5000)
    level = fit_level(2 * mean, dice.poisson(mean).astype(float))
    corrected = CountCalibration(level=level).apply(Predicted(2 * mean)).value
    np.testing.assert_allclose(corrected, mean, rtol=0.05)


def everything(seed: int, n: int) -> tuple[Prediction, Outcome]:
    spend, amounts = users(seed, n)
    truth, tier = tiers(seed, n)
    churned = (np.random.default_rng(seed).random(n) < 1 - spend.probability.numpy()).astype(float)
    sensitivity = np.where(amounts > 0, 0.3, np.nan)
    prediction = {
        "tier": Predicted(distorted(truth)),
        "spend": Predicted(spend.mean().numpy(), spend),
        "churn": Predicted(1 - spend.probability.numpy() ** 2),
        "price_sensitivity": Predicted(np.full(n, 0.6)),
    }
    return prediction, outcome(n, spend=amounts, churn=churned, tier=tier, price_sensitivity=sensitivity)


def test_a_calibration_survives_its_file_and_keeps_the_interval_in_order() -> None:
    prediction, happened = everything(6, 800)
    calibration = fit_calibration(prediction, happened, WINDOW, 800, 0.8)
    assert Calibration.model_validate_json(calibration.model_dump_json()) == calibration
    corrected = calibration.apply(prediction)
    scores = to_scores(corrected, tiny.facts().tiers, 100.0)
    low, median, high = (scores[f"expected_value_{name}"] for name in ("low", "median", "high"))
    assert (low >= 0).all()
    assert (low <= median).all()
    assert (median <= high).all()
    np.testing.assert_allclose(corrected["price_sensitivity"].value, 0.3, atol=0.02)
    assert corrected["churn"].value.mean() == pytest.approx(happened.labels["churn"].mean(), abs=0.02)
    order = np.argsort(prediction["spend"].value)
    assert (np.argsort(corrected["spend"].value) == order).all()


def test_absent_heads_stay_absent() -> None:
    prediction, happened = everything(7, 300)
    alone = {"tier": prediction["tier"]}
    calibration = fit_calibration(alone, happened, WINDOW, 300, 0.8)
    assert calibration.heads.keys() == {"tier"}
    scores = to_scores(calibration.apply(alone), tiny.facts().tiers, 1.0)
    assert scores.keys() == {"tier_probabilities", "expected_value"}
    np.testing.assert_allclose(scores["expected_value"], scores["tier_probabilities"] @ [0.1, 1.0, 5.0])
