"""BG/NBD and Gamma-Gamma: purchases and spend per purchase from each user's own history, without labels.

Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24 (2), equations 3, 6 and 10.
Fader and Hardie (2013), The Gamma-Gamma Model of Monetary Value, brucehardie.com/notes/025.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, minimize
from scipy.special import betaln, expit, gammaln, hyp2f1

from model_training.baselines.linear import probabilities
from model_training.baselines.task import BaselineTask, UnfitError, decisions, numbers
from model_training.data.dataset import TrainingSet
from model_training.data.outcome import Floats
from ulvspark.model.parts.predictions import Decisions

DAYS_PER_UNIT = 7.0
"""Weeks, as in the paper: numbers near 1 help the optimiser."""
MAX_LOGARITHM = 9.0
"""Of a parameter. Where users hardly differ in something, the likelihood would rise without end."""


@dataclass(frozen=True)
class Purchases:
    """Repeat purchase days ``x``, age at the last ``t_x`` and age ``t`` in weeks, mean spend ``m`` of ``n`` days."""

    x: Floats
    t_x: Floats
    t: Floats
    m: Floats
    n: Floats


def purchases(part: TrainingSet) -> Purchases:
    """The model's inputs from the behaviour numbers.

    Repeat days are the time from first to last purchase over the mean gap, which is exact. A life starts with the first
    event, which is the first purchase where only purchases are known; a user who only looked before is taken as older.
    """
    recency, tenure, gap, orders, value = numbers(
        part, "recency_days", "tenure_days", "gap_mean_days", "orders", "order_value"
    )
    repeats = ~np.isnan(gap)
    x = np.where(repeats, np.maximum(np.round((tenure - recency) / np.where(repeats, gap, 1.0)), 1.0), 0.0)
    t_x = np.where(repeats, tenure - recency, 0.0)
    return Purchases(x, t_x / DAYS_PER_UNIT, (t_x + recency) / DAYS_PER_UNIT, orders * value / (x + 1), x + 1)


def predict(task: BaselineTask) -> Decisions:
    """Expected purchase days x expected spend per day, less the share returned; P(no purchase) as leaving.

    Fitted to all users of the cut. Tiers: logistic regression of the training tiers on the logarithm of the value.
    """
    of_target, of_train = purchases(task.target), purchases(task.train)
    buying, spending = fit_bgnbd(of_target), fit_gamma_gamma(of_target)
    weeks = task.horizon_days / DAYS_PER_UNIT
    value, earlier = (
        expected_purchases(buying, bought, weeks) * expected_spend(spending, bought) * _kept(part) / part.scales()
        for bought, part in ((of_target, task.target), (of_train, task.train))
    )
    if not np.isfinite(value).all():
        raise UnfitError(f"BG/NBD and Gamma-Gamma have no mean with {buying}, {spending}")
    _, tiers = probabilities(task, np.log1p(earlier)[:, None], np.log1p(value)[:, None])
    return decisions(value, no_purchase(buying, of_target, weeks), tiers)


def _kept(part: TrainingSet) -> Floats:
    [returned] = numbers(part, "return_share")
    return np.asarray(1 - np.nan_to_num(returned).mean())


@dataclass(frozen=True)
class BgNbd:
    """Purchase rates ~ Gamma(r, alpha), dropout after a purchase ~ Beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True)
class GammaGamma:
    """Spend per purchase ~ Gamma(p, nu), nu ~ Gamma(q, v)."""

    p: float
    q: float
    v: float


def fit_bgnbd(data: Purchases) -> BgNbd:
    """Maximum likelihood. Raises UnfitError where nobody bought twice or the optimiser does not arrive."""
    if not (data.x > 0).any():
        raise UnfitError("BG/NBD: nobody bought on two days")
    return BgNbd(*_minimise(lambda values: -_bgnbd_likelihood(BgNbd(*values), data).mean(), 4, "BG/NBD"))


def _bgnbd_likelihood(model: BgNbd, data: Purchases) -> Floats:
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    shared = gammaln(r + data.x) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + data.x) - betaln(a, b) - (r + data.x) * np.log(alpha + data.t)
    repeat = np.maximum(data.x, 1)
    left = betaln(a + 1, b + repeat - 1) - betaln(a, b) - (r + data.x) * np.log(alpha + data.t_x)
    return np.asarray(shared + np.where(data.x > 0, np.logaddexp(alive, left), alive))


def probability_alive(model: BgNbd, data: Purchases) -> Floats:
    """P(alive at age t), which is 1 without a repeat purchase; Fader, Hardie and Lee, notes/021."""
    odds = np.log(model.a / (model.b + np.maximum(data.x, 1) - 1))
    odds = odds + (model.r + data.x) * np.log((model.alpha + data.t) / (model.alpha + data.t_x))
    return np.asarray(np.where(data.x > 0, expit(-odds), 1.0))


def expected_purchases(model: BgNbd, data: Purchases, weeks: float) -> Floats:
    """Equation (10): purchase days in the next ``weeks``."""
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    base = alpha + data.t
    surviving = hyp2f1(r + data.x, b + data.x, a + b + data.x - 1, weeks / (base + weeks))
    growth = 1 - (base / (base + weeks)) ** (r + data.x) * surviving
    return np.asarray((a + b + data.x - 1) / (a - 1) * growth * probability_alive(model, data))


def no_purchase(model: BgNbd, data: Purchases, weeks: float) -> Floats:
    """P(no purchase in the next ``weeks``): dead, or alive and quiet, whose rate is Gamma(r + x, alpha + t)."""
    base = model.alpha + data.t
    quiet = (base / (base + weeks)) ** (model.r + data.x)
    return np.asarray(1 - probability_alive(model, data) * (1 - quiet))


def fit_gamma_gamma(data: Purchases) -> GammaGamma:
    """Maximum likelihood over users who bought again. Raises UnfitError where the optimiser does not arrive."""
    used = (data.x > 0) & (data.m > 0)
    if not used.any():
        raise UnfitError("Gamma-Gamma: nobody bought for more than 0 on two days")
    unit = float(np.median(data.m[used]))
    m, n = data.m[used] / unit, data.n[used]
    p, q, v = _minimise(lambda values: -_gamma_gamma_likelihood(GammaGamma(*values), m, n).mean(), 3, "Gamma-Gamma")
    return GammaGamma(p, q, v * unit)


def _gamma_gamma_likelihood(model: GammaGamma, m: Floats, n: Floats) -> Floats:
    p, q, v = model.p, model.q, model.v
    total = p * n + q
    constant = gammaln(total) - gammaln(p * n) - gammaln(q)
    return np.asarray(
        constant + q * np.log(v) + (p * n - 1) * np.log(m) + p * n * np.log(n) - total * np.log(v + m * n)
    )


def expected_spend(model: GammaGamma, data: Purchases) -> Floats:
    """Equation (5) of notes/025: spend per purchase day, between everyone's and the user's own mean."""
    return np.asarray(model.p * (model.v + data.n * data.m) / (model.p * data.n + model.q - 1))


def _minimise(loss: Callable[[Floats], float], size: int, name: str) -> tuple[float, ...]:
    """The positive parameters of least ``loss``, searched in logarithms."""

    def of_logarithms(logs: Floats) -> float:
        # The search also tries parameters at which the likelihood overflows, and turns back from there.
        with np.errstate(invalid="ignore", over="ignore"):
            return loss(np.exp(logs))

    fit = minimize(of_logarithms, np.zeros(size), bounds=Bounds(-MAX_LOGARITHM, MAX_LOGARITHM))
    if not fit.success:
        raise UnfitError(f"{name} does not converge on these users: {fit.message}")
    return tuple(map(float, np.exp(fit.x)))
