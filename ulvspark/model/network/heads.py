"""Each head's loss and what it predicts, side by side, so that both share one distribution and its clamps."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ulvspark.contract.spec import Head

MU_RANGE = (-8.0, 8.0)
"""Log of spend in platform scales: from 0.0003 to 3,000 times the scale."""

SIGMA_RANGE = (0.05, 2.5)
"""A floor keeps the density finite, a ceiling keeps exp(sigma ** 2 / 2) from running away."""


def output_size(head: Head, n_tiers: int) -> int:
    """How many raw outputs a head has; heads of one output give (B,), the others (B, size)."""
    return {"tier": n_tiers, "spend": 3, "churn": 1, "price_sensitivity": 1}[head]


def head_loss(head: Head, raw: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean loss of one head over the batch, in float32 whatever the precision of ``raw``.

    ``label``: tier (B,) class numbers; spend (B,) in platform scales; churn (B,) 0 or 1; price sensitivity (B,) in
    [0, 1] with NaN where unknown. ``class_weights`` (K,) weigh the tiers.
    """
    raw = raw.float()
    match head:
        case "tier":
            return F.cross_entropy(raw, label.long(), weight=class_weights)
        case "spend":
            return spend_loss(raw, label.float())
        case "churn":
            return F.binary_cross_entropy_with_logits(raw, label.float())
        case "price_sensitivity":
            return price_sensitivity_loss(raw, label.float())


def total_loss(
    outputs: Mapping[str, Tensor],
    labels: Mapping[Head, Tensor],
    class_weights: Tensor | None = None,
    head_weights: Mapping[Head, float] | None = None,
) -> Tensor:
    """Sum of the losses of the heads that are labelled, each times its weight (1 where none is given)."""
    weights = head_weights or {}
    losses = [
        weights.get(head, 1.0) * head_loss(head, outputs[head], label, class_weights) for head, label in labels.items()
    ]
    return torch.stack(losses).sum()


def tier_probabilities(raw: Tensor) -> Tensor:
    """(B, K) logits to probabilities."""
    return raw.softmax(dim=-1)


def probability(raw: Tensor) -> Tensor:
    """(B,) logit of churn or price sensitivity to a probability or share."""
    return raw.sigmoid()


def price_sensitivity_loss(raw: Tensor, share: Tensor) -> Tensor:
    """Cross-entropy against a soft target, over the known ones; 0 without gradient where none is known."""
    known = ~share.isnan()
    # The unknown are replaced before the loss, since NaN times zero would still poison the gradient.
    each = F.binary_cross_entropy_with_logits(raw, share.nan_to_num(0.0), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def spend_parameters(raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 3) to the logit of spending at all, and mu and sigma of log spend: a zero-inflated lognormal.

    Wang, Liu and Miao, "A Deep Probabilistic Model for Customer Lifetime Value Prediction" (2019), arXiv 1912.07753.
    """
    logit, mu, sigma = raw.unbind(dim=-1)
    return logit, mu.clamp(*MU_RANGE), F.softplus(sigma).clamp(*SIGMA_RANGE)


def spend_loss(raw: Tensor, spend: Tensor) -> Tensor:
    """Negative log-likelihood of ``spend`` (B,), in platform scales (equation 4 of the paper)."""
    logit, mu, sigma = spend_parameters(raw)
    spends = (spend > 0).to(raw.dtype)
    log_spend = torch.where(spend > 0, spend, 1.0).log()
    lognormal = log_spend + sigma.log() + 0.5 * math.log(2 * math.pi) + (log_spend - mu) ** 2 / (2 * sigma**2)
    return (F.binary_cross_entropy_with_logits(logit, spends, reduction="none") + spends * lognormal).mean()


class Spend(NamedTuple):
    """Spend of n users as a zero-inflated lognormal, each (n,): lognormal(mu, sigma) with ``probability``, else 0.

    In platform scales.
    """

    probability: Tensor
    mu: Tensor
    sigma: Tensor

    def mean(self) -> Tensor:
        """(n,) expected spend: p * exp(mu + sigma ** 2 / 2)."""
        return self.probability * (self.mu + self.sigma**2 / 2).exp()

    def quantile(self, q: float) -> Tensor:
        """(n,) the ``q`` quantile of spend; 0 where not spending is at least that likely."""
        p = self.probability
        within = ((q - (1 - p)) / p).clamp(min=0, max=1)
        return torch.where(within > 0, (self.mu + self.sigma * torch.special.ndtri(within)).exp(), 0.0)

    def cumulative(self, spend: Tensor) -> Tensor:
        """(n,) the probability of spending at most ``spend`` (n,), which is not negative."""
        within = torch.special.ndtr((spend.log() - self.mu) / self.sigma)
        return 1 - self.probability + self.probability * torch.where(spend > 0, within, 0.0)


def spend_distribution(raw: Tensor) -> Spend:
    """What the (B, 3) raw outputs of the spend head say."""
    logit, mu, sigma = spend_parameters(raw)
    return Spend(logit.sigmoid(), mu, sigma)
