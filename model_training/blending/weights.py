"""How much each part says: the weights that predicted best on rows that no part has learned from."""

from collections.abc import Iterator, Mapping

import numpy as np

from model_training.blending.calibrate import fit_probability
from model_training.evaluation import weighted
from model_training.evaluation.metrics import Outcome
from ulvspark.contract.spec import Head
from ulvspark.model.parts.blend import NETWORK_ALONE, Part, Weights, blend
from ulvspark.model.parts.predictions import Prediction

SMALLEST = 1e-12


def choose_weights(
    predictions: Mapping[Part, Prediction], outcome: Outcome, heads: tuple[Head, ...], step: float
) -> Weights:
    """For each head the weights of least loss, of all that are multiples of ``step`` and sum to 1."""
    return {head: _best(head, predictions, outcome, step) for head in heads}


def _best(head: Head, predictions: Mapping[Part, Prediction], outcome: Outcome, step: float) -> dict[Part, float]:
    parts = [part for part, prediction in predictions.items() if _says(prediction, head)]
    tried = [dict(zip(parts, weights, strict=True)) for weights in simplex(len(parts), round(1 / step))]
    losses = [loss(head, blend(predictions, {head: weights}), outcome) for weights in tried]
    return tried[int(np.argmin(losses))]


def of_who_says(weights: Weights, predictions: Mapping[Part, Prediction]) -> Weights:
    """``weights`` shared among the parts that say something of a head; where none of them does, the network's alone."""
    return {head: _shared(parts, head, predictions) for head, parts in weights.items()}


def _shared(parts: dict[Part, float], head: Head, predictions: Mapping[Part, Prediction]) -> dict[Part, float]:
    heard = {part: weight for part, weight in parts.items() if _says(predictions[part], head)}
    if len(heard) == len(parts):
        return parts
    total = sum(heard.values())
    return {part: weight / total for part, weight in heard.items()} if total else dict(NETWORK_ALONE)


def _says(prediction: Prediction, head: Head) -> bool:
    return getattr(prediction, head) is not None


def simplex(size: int, steps: int) -> Iterator[tuple[float, ...]]:
    """All ``size`` shares that are multiples of 1 / ``steps`` and sum to 1, the most even first."""
    found = [each for each in np.ndindex(*[steps + 1] * size) if sum(each) == steps]
    yield from (tuple(count / steps for count in each) for each in sorted(found, key=max))


def loss(head: Head, prediction: Prediction, outcome: Outcome) -> float:
    """What the weights of ``head`` are chosen by; the less the better.

    Spend: Spearman and normalised Gini. Tier: log loss. Churn and price sensitivity: log loss once the level is
    corrected on the same rows, since levels drift and what these two must get right is the order of users; which tier
    is the likeliest, though, depends on the level.
    """
    match head:
        case "spend":
            return -_rank(prediction, outcome)
        case "tier":
            return _tier_loss(prediction, outcome)
        case "churn":
            return _log_loss(prediction.churn, outcome.churned)
        case "price_sensitivity":
            return _log_loss(prediction.price_sensitivity, outcome.price_sensitivity)


def _rank(prediction: Prediction, outcome: Outcome) -> float:
    assert prediction.value is not None  # noqa: S101 - asked only of heads that are there
    ones = weighted.ones(len(outcome.spend))
    statistics = (weighted.spearman, weighted.gini)
    return float(sum(each(outcome.spend, prediction.value, ones)[0] for each in statistics))


def _tier_loss(prediction: Prediction, outcome: Outcome) -> float:
    assert prediction.tier is not None  # noqa: S101 - asked only of heads that are there
    of_tier = prediction.tier[np.arange(len(outcome.tier)), outcome.tier]
    return float(-np.log(of_tier.clip(SMALLEST)).mean())


def _log_loss(probability: "np.ndarray[tuple[int], np.dtype[np.float64]] | None", label: np.ndarray) -> float:
    assert probability is not None  # noqa: S101 - asked only of heads that are there
    seen = ~np.isnan(label)
    if not seen.any():
        return 0.0  # no weights are better than others
    label, probability = label[seen], probability[seen]
    p = fit_probability(probability, label).apply(probability).clip(SMALLEST, 1 - SMALLEST)
    return float(-(label * np.log(p) + (1 - label) * np.log1p(-p)).mean())
