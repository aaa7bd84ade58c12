"""Statistics of weighted users, for many weightings at once: with counts of a resample as weights, a bootstrap.

``weights`` is (draws, n), never negative, and every function returns (draws,): what the textbook statistic gives for
the sample in which user i stands ``weights[d, i]`` times. NaN where it is not defined. Users of equal score are tied.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
BinaryLabel = npt.NDArray[np.bool_]


def ones(n: int) -> Floats:
    """The weights of the sample itself, (1, n)."""
    return np.ones((1, n))


def mean(values: Floats, weights: Floats) -> Floats:
    """Mean of ``values`` (n,)."""
    return ratio(weights @ values, weights.sum(axis=1))


def ratio(part: Floats, whole: Floats) -> Floats:
    """``part / whole``, NaN where ``whole`` is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0))


def _groups(score: Floats, weights: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """The number of each user's group of equal score, lowest first, and each group's weight (draws, groups)."""
    _, of_user, users = np.unique(score, return_inverse=True, return_counts=True)
    by_score = weights[:, np.argsort(score, kind="stable")]
    return of_user, np.add.reduceat(by_score, np.cumsum(users) - users, axis=1)


def mid_ranks(score: Floats, weights: Floats) -> Floats:
    """(draws, n) the weight below each user's score, and half of that at it."""
    group, weight = _groups(score, weights)
    return (np.cumsum(weight, axis=1) - weight / 2)[:, group]


def spearman(left: Floats, right: Floats, weights: Floats) -> Floats:
    """Rank correlation."""
    total = weights.sum(axis=1, keepdims=True)
    a, b = (mid_ranks(scores, weights) - total / 2 for scores in (left, right))
    covariance, spread_a, spread_b = (np.einsum("dn,dn,dn->d", weights, *pair) for pair in ((a, b), (a, a), (b, b)))
    return ratio(covariance, np.sqrt(spread_a * spread_b))


def auc(label: BinaryLabel, score: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve (Mann and Whitney's U)."""
    positive = weights[:, label].sum(axis=1)
    negative = weights.sum(axis=1) - positive
    above = np.einsum("dn,dn->d", weights[:, label], mid_ranks(score, weights)[:, label])
    return ratio(above - positive**2 / 2, positive * negative)


def average_precision(label: BinaryLabel, score: Floats, weights: Floats) -> Floats:
    """Precision at each score that a labelled user has, weighted by the labelled users at that score."""
    weight, positives = (_groups(-score, counted)[1] for counted in (weights, weights * label))
    precision = ratio(np.cumsum(positives, axis=1), np.cumsum(weight, axis=1))
    return ratio(np.nansum(positives * precision, axis=1), positives.sum(axis=1))


def gini(amount: Floats, score: Floats, weights: Floats) -> Floats:
    """Area between the gains curve of ``amount`` by ``score`` and chance, as a share of the best possible area."""
    return ratio(_gini_area(amount, score, weights), _gini_area(amount, amount, weights))


def _gini_area(amount: Floats, score: Floats, weights: Floats) -> Floats:
    # Covariance with mid-ranks: the area under the curve up to a factor, with ties sharing their amount.
    ranks = mid_ranks(score, weights) - weights.sum(axis=1, keepdims=True) / 2
    return np.asarray(np.einsum("dn,dn,n->d", weights, ranks, amount))


def top(score: Floats, share: float, weights: Floats) -> Floats:
    """(draws, n) how far each user is in the ``share`` of greatest score: 1 in, 0 out, between for ties at the edge."""
    group, weight = _groups(-score, weights)
    before = np.cumsum(weight, axis=1) - weight
    room = share * weights.sum(axis=1, keepdims=True) - before
    inside = np.divide(room, weight, out=np.zeros_like(weight), where=weight > 0)
    return np.asarray(np.clip(inside, 0.0, 1.0)[:, group])


def recall(label: BinaryLabel, score: Floats, share: float, weights: Floats) -> Floats:
    """Share of the labelled who are in the ``share`` of greatest score."""
    chosen = weights * top(score, share, weights)
    return ratio(chosen @ label.astype(np.float64), weights @ label.astype(np.float64))


def lift(amount: Floats, score: Floats, share: float, weights: Floats) -> Floats:
    """Mean amount of the ``share`` of greatest score as a multiple of everyone's."""
    chosen = weights * top(score, share, weights)
    return ratio(ratio(chosen @ amount, chosen.sum(axis=1)), mean(amount, weights))


def decile_error(amount: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean absolute percentage error of the sums of deciles by prediction; deciles without any amount left out."""
    position = mid_ranks(predicted, weights) / weights.sum(axis=1, keepdims=True)
    decile = np.minimum((position * 10).astype(np.int64), 9)
    errors = []
    for number in range(10):
        inside = weights * (decile == number)
        actual = inside @ amount
        errors.append(ratio(np.abs(inside @ predicted - actual), actual))
    stacked = np.stack(errors)
    known = np.isfinite(stacked)
    return ratio(np.where(known, stacked, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def calibration_error(label: Floats, probability: Floats, weights: Floats) -> Floats:
    """Expected calibration error over ten bins with equally many users (of the sample itself, equal scores together).

    Naeini, Cooper and Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning.
    """
    edges = np.quantile(probability, np.linspace(0.1, 0.9, 9))
    member = np.searchsorted(edges, probability, side="right")[:, None] == np.arange(10)
    gaps = (weights * (probability - label)) @ member.astype(np.float64)
    return ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def confusion(actual: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int, weights: Floats) -> Floats:
    """(draws, classes, classes) weight by actual (rows) and predicted class."""
    cell = np.eye(classes**2)[actual * classes + predicted]
    return np.asarray((weights @ cell).reshape(len(weights), classes, classes))


def macro_f1(actual: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Mean of the F1 of each class that occurs, be it in truth or prediction."""
    classes = int(max(actual.max(), predicted.max())) + 1
    table = confusion(actual, predicted, classes, weights)
    hits = np.diagonal(table, axis1=1, axis2=2)
    return np.asarray(np.nanmean(ratio(2 * hits, table.sum(axis=1) + table.sum(axis=2)), axis=1))
