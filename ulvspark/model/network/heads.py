"""The loss and the predicted value of each kind of head, side by side: both read the same distribution and clamps."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ulvspark.contract.heads import HEADS, Kind

MU_RANGE = (-8.0, 8.0)
"""Logarithm of an amount in platform scales: from 0.0003 to 3,000 times the scale."""

SIGMA_RANGE = (0.05, 2.5)
"""Below the floor the density would grow without bound, above the ceiling exp(sigma ** 2 / 2) would."""

LOG_COUNT_RANGE = (-8.0, 6.0)
"""Logarithm of an expected count: from 0.0003 to 400."""

DISPERSION_RANGE = (0.01, 20.0)
"""Below the floor the distribution hardly differs from Poisson's, above the ceiling nearly every count is 0."""


def output_size(kind: Kind, n_classes: int) -> int:
    """How many raw outputs a head has; heads of one output give (B,), the others (B, size)."""
    return {"classes": n_classes, "amount": 3, "count": 2, "probability": 1, "share": 1}[kind]


def head_loss(kind: Kind, raw: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean loss of one head over the batch, in float32 whatever the precision of ``raw``.

    ``label`` (B,): class numbers; amounts in platform scales; counts; 0 or 1 for a probability; shares in [0, 1], NaN
    where unknown. ``class_weights`` (K,) weigh the classes.
    """
    raw = raw.float()
    match kind:
        case "classes":
            return F.cross_entropy(raw, label.long(), weight=class_weights)
        case "amount":
            return amount_loss(raw, label.float())
        case "count":
            return count_loss(raw, label.float())
        case "probability":
            return F.binary_cross_entropy_with_logits(raw, label.float())
        case "share":
            return share_loss(raw, label.float())


def predicted_value(kind: Kind, raw: Tensor) -> Tensor:
    """What one head predicts from its raw outputs: (B, K) probabilities of the classes, (B,) for the other kinds."""
    match kind:
        case "classes":
            return raw.softmax(dim=-1)
        case "amount":
            return amount_distribution(raw).mean()
        case "count":
            return count_parameters(raw)[0].exp()
        case "probability" | "share":
            return raw.sigmoid()


def total_loss(
    outputs: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    class_weights: Tensor | None = None,
    head_weights: Mapping[str, float] | None = None,
) -> Tensor:
    """Sum of the losses of the heads that are labelled, each times its weight (1 where none is given)."""
    weights = head_weights or {}
    losses = [
        weights.get(head, 1.0) * head_loss(HEADS[head].kind, outputs[head], label, class_weights)
        for head, label in labels.items()
    ]
    return torch.stack(losses).sum()


def share_loss(raw: Tensor, share: Tensor) -> Tensor:
    """Cross-entropy against a soft target, over the known ones; 0 without gradient where none is known."""
    known = ~share.isnan()
    # Unknown shares are replaced before the loss, since NaN times zero would still reach the gradient.
    losses = F.binary_cross_entropy_with_logits(raw, share.nan_to_num(0.0), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


class ZeroInflatedLognormal(NamedTuple):
    """Amounts of n users, each (n,): lognormal(mu, sigma) with ``probability``, else 0. In platform scales."""

    probability: Tensor
    mu: Tensor
    sigma: Tensor

    def mean(self) -> Tensor:
        """(n,) expected amount: p * exp(mu + sigma ** 2 / 2)."""
        return self.probability * (self.mu + self.sigma**2 / 2).exp()

    def quantile(self, q: float) -> Tensor:
        """(n,) the ``q`` quantile; 0 where an amount of 0 is at least that likely."""
        p = self.probability
        within = ((q - (1 - p)) / p).clamp(min=0, max=1)
        return torch.where(within > 0, (self.mu + self.sigma * torch.special.ndtri(within)).exp(), 0.0)

    def cumulative(self, amount: Tensor) -> Tensor:
        """(n,) the probability of at most ``amount`` (n,), which is not negative."""
        within = torch.special.ndtr((amount.log() - self.mu) / self.sigma)
        return 1 - self.probability + self.probability * torch.where(amount > 0, within, 0.0)


def amount_parameters(raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 3) to the logit of an amount above 0, and mu and sigma of its logarithm: a zero-inflated lognormal.

    Wang, Liu and Miao, "A Deep Probabilistic Model for Customer Lifetime Value Prediction" (2019), arXiv 1912.07753.
    """
    logit, mu, sigma = raw.unbind(dim=-1)
    return logit, mu.clamp(*MU_RANGE), F.softplus(sigma).clamp(*SIGMA_RANGE)


def amount_loss(raw: Tensor, amount: Tensor) -> Tensor:
    """Negative log-likelihood of ``amount`` (B,), in platform scales (equation 4 of the paper)."""
    logit, mu, sigma = amount_parameters(raw)
    positive = (amount > 0).to(raw.dtype)
    log_amount = torch.where(amount > 0, amount, 1.0).log()
    lognormal = log_amount + sigma.log() + 0.5 * math.log(2 * math.pi) + (log_amount - mu) ** 2 / (2 * sigma**2)
    return (F.binary_cross_entropy_with_logits(logit, positive, reduction="none") + positive * lognormal).mean()


def amount_distribution(raw: Tensor) -> ZeroInflatedLognormal:
    """The distribution that the (B, 3) raw outputs of a head of kind ``amount`` stand for."""
    logit, mu, sigma = amount_parameters(raw)
    return ZeroInflatedLognormal(logit.sigmoid(), mu, sigma)


def count_parameters(raw: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 2) to the logarithm of the mean and the dispersion of a negative binomial distribution.

    The variance is mean + dispersion * mean ** 2 (NB2; Hilbe, "Negative Binomial Regression", 2011).
    """
    log_mean, dispersion = raw.unbind(dim=-1)
    return log_mean.clamp(*LOG_COUNT_RANGE), F.softplus(dispersion).clamp(*DISPERSION_RANGE)


def count_loss(raw: Tensor, count: Tensor) -> Tensor:
    """Negative log-likelihood of ``count`` (B,)."""
    log_mean, dispersion = count_parameters(raw)
    size, mean = 1 / dispersion, log_mean.exp()
    combinations = torch.lgamma(count + size) - torch.lgamma(size) - torch.lgamma(count + 1)
    log_total = (size + mean).log()
    return -(combinations + size * (size.log() - log_total) + count * (log_mean - log_total)).mean()
