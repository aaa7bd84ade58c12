"""Losses and expectations against independent ones."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from ulvspark.model.network import heads

RAW = torch.tensor([[0.3, -0.5, 0.2], [-2.0, 1.0, -1.0], [4.0, 0.2, 1.5]], dtype=torch.float64)


def ziln(row: torch.Tensor) -> tuple[float, stats.rv_continuous]:
    logit, mu, raw_sigma = row.tolist()
    return 1 / (1 + math.exp(-logit)), stats.lognorm(s=math.log1p(math.exp(raw_sigma)), scale=math.exp(mu))


def test_amount_loss_is_the_likelihood() -> None:
    spend = torch.tensor([0.0, 2.5, 0.7], dtype=torch.float64)
    expected = []
    for row, amount in zip(RAW, spend.tolist(), strict=True):
        p, lognormal = ziln(row)
        expected.append(-math.log(1 - p) if amount == 0 else -math.log(p) - lognormal.logpdf(amount))
    assert heads.amount_loss(RAW, spend).item() == pytest.approx(np.mean(expected))


def test_amount_mean_and_quantiles_are_those_of_samples() -> None:
    dice, spend = np.random.default_rng(0), heads.amount_distribution(RAW)
    for number, row in enumerate(RAW):
        p, lognormal = ziln(row)
        samples = lognormal.rvs(400_000, random_state=dice) * (dice.random(400_000) < p)
        assert spend.mean()[number].item() == pytest.approx(p * lognormal.mean())
        assert spend.mean()[number].item() == pytest.approx(samples.mean(), rel=0.05)
        for q in (0.05, 0.5, 0.9):
            found = spend.quantile(q)[number].item()
            assert found == pytest.approx(np.quantile(samples, q), rel=0.03, abs=1e-9)


def test_median_is_zero_where_an_amount_of_zero_is_likelier() -> None:
    assert heads.amount_distribution(RAW).quantile(0.5)[1].item() == 0


@pytest.mark.parametrize("value", [-1e4, 1e4])
@pytest.mark.parametrize("spend", [0.0, 1e-9, 1e7])
def test_amounts_stay_finite_far_out(value: float, spend: float) -> None:
    raw = torch.full((2, 3), value, requires_grad=True)
    loss = heads.amount_loss(raw, torch.tensor([spend, spend]))
    loss.backward()
    assert loss.isfinite()
    assert raw.grad.isfinite().all()
    spends = heads.amount_distribution(raw)
    assert spends.mean().isfinite().all()
    assert spends.quantile(0.99).isfinite().all()


def test_loss_and_mean_share_their_clamps() -> None:
    raw = torch.tensor([[9.0, 50.0, 50.0]])
    _, mu, sigma = heads.amount_parameters(raw)
    assert (mu.item(), sigma.item()) == (heads.MU_RANGE[1], heads.SIGMA_RANGE[1])
    inside = torch.tensor([[9.0, heads.MU_RANGE[1], math.log(math.expm1(heads.SIGMA_RANGE[1]))]])
    spend = torch.tensor([3.0])
    found, expected = (heads.amount_distribution(each).mean().item() for each in (raw, inside))
    assert found == pytest.approx(expected, rel=1e-5)
    assert heads.amount_loss(raw, spend).item() == pytest.approx(heads.amount_loss(inside, spend).item(), rel=1e-5)


COUNTS = torch.tensor([[0.3, 0.2], [-2.0, -1.0], [1.5, 3.0]], dtype=torch.float64)


def negative_binomial(row: torch.Tensor) -> stats.rv_discrete:
    log_mean, raw_dispersion = row.tolist()
    size = 1 / math.log1p(math.exp(raw_dispersion))
    return stats.nbinom(size, size / (size + math.exp(log_mean)))


def test_count_loss_is_the_likelihood_and_the_prediction_its_mean() -> None:
    count = torch.tensor([0.0, 1.0, 7.0], dtype=torch.float64)
    expected = [-negative_binomial(row).logpmf(int(n)) for row, n in zip(COUNTS, count.tolist(), strict=True)]
    assert heads.count_loss(COUNTS, count).item() == pytest.approx(np.mean(expected))
    means = [negative_binomial(row).mean() for row in COUNTS]
    assert heads.predicted_value("count", COUNTS).tolist() == pytest.approx(means)


@pytest.mark.parametrize("value", [-1e4, 1e4])
@pytest.mark.parametrize("count", [0.0, 1.0, 1e4])
def test_counts_stay_finite_far_out(value: float, count: float) -> None:
    raw = torch.full((2, 2), value, requires_grad=True)
    loss = heads.head_loss("count", raw, torch.tensor([count, count]))
    loss.backward()
    assert loss.isfinite()
    assert raw.grad.isfinite().all()
    assert heads.predicted_value("count", raw).isfinite().all()


def test_loss_and_mean_of_a_count_share_their_clamps() -> None:
    far, edge = torch.tensor([[50.0, 0.5]]), torch.tensor([[heads.LOG_COUNT_RANGE[1], 0.5]])
    assert torch.equal(heads.predicted_value("count", far), heads.predicted_value("count", edge))
    assert torch.equal(heads.count_loss(far, torch.ones(1)), heads.count_loss(edge, torch.ones(1)))


def test_counts_learn_their_mean() -> None:
    count = torch.from_numpy(np.random.default_rng(0).negative_binomial(1.5, 0.3, 300)).float()
    raw = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.LBFGS([raw], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = heads.count_loss(raw.expand(300, 2), count)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert heads.predicted_value("count", raw.detach()[None]).item() == pytest.approx(count.mean().item(), rel=1e-3)


def test_unknown_shares_give_no_gradient() -> None:
    raw = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
    share = torch.tensor([0.25, float("nan"), 1.0])
    loss = heads.share_loss(raw, share)
    loss.backward()
    assert raw.grad[1] == 0
    assert raw.grad[0] != 0
    known = torch.nn.functional.binary_cross_entropy_with_logits(raw[[0, 2]], share[[0, 2]])
    assert loss.item() == pytest.approx(known.item())


def test_without_a_known_share_there_is_no_loss() -> None:
    raw = torch.tensor([0.5, -1.0], requires_grad=True)
    loss = heads.share_loss(raw, torch.full((2,), float("nan")))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(raw.grad, torch.zeros(2))


def test_class_weights_weigh() -> None:
    raw, tier = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
    plain = heads.head_loss("classes", raw, tier)
    weighted = heads.head_loss("classes", raw, tier, torch.tensor([0.0, 1.0]))
    assert weighted.item() == pytest.approx(math.log(2))
    assert plain.item() != pytest.approx(weighted.item())


def test_half_precision_outputs_lose_nothing_in_the_loss() -> None:
    raw = torch.tensor([[0.0, 7.0, 1.0]], dtype=torch.bfloat16)
    spend = torch.tensor([1000.123])
    assert heads.head_loss("amount", raw, spend).item() == pytest.approx(heads.amount_loss(raw.float(), spend).item())
