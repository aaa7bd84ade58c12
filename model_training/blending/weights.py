"""How much each part counts: the weights that predicted best on rows that no part has learned from."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from model_training.blending.calibrate import fit_level, fit_probability
from model_training.data.outcome import Floats, Outcome
from model_training.evaluation import weighted
from ulvspark.contract.heads import HEADS, Kind
from ulvspark.model.parts.blend import NETWORK_ALONE, Part, Weights, blend_head
from ulvspark.model.parts.predictions import Prediction

MIN_PROBABILITY = 1e-12
"""Probabilities are kept this far from 0 before their logarithm is taken."""


def choose_weights(
    predictions: Mapping[Part, Prediction], outcome: Outcome, heads: tuple[str, ...], step: float
) -> Weights:
    """For each head the weights of least loss, of all that are multiples of ``step`` and sum to 1."""
    return {head: _best(head, predictions, outcome, step) for head in heads}


def _best(head: str, predictions: Mapping[Part, Prediction], outcome: Outcome, step: float) -> dict[Part, float]:
    parts = [part for part, prediction in predictions.items() if head in prediction]
    candidates = [dict(zip(parts, weights, strict=True)) for weights in simplex(len(parts), round(1 / step))]
    losses = [
        loss(HEADS[head].kind, blend_head(head, predictions, weights).value, outcome.labels[head])
        for weights in candidates
    ]
    return candidates[int(np.argmin(losses))]


def share_among_parts(weights: Weights, predictions: Mapping[Part, Prediction]) -> Weights:
    """``weights`` rescaled to the parts that predict a head; where none of them does, the network's alone."""
    return {head: _shared(parts, head, predictions) for head, parts in weights.items()}


def _shared(parts: dict[Part, float], head: str, predictions: Mapping[Part, Prediction]) -> dict[Part, float]:
    known = {part: weight for part, weight in parts.items() if head in predictions[part]}
    if len(known) == len(parts):
        return parts
    total = sum(known.values())
    return {part: weight / total for part, weight in known.items()} if total else dict(NETWORK_ALONE)


def simplex(size: int, steps: int) -> Iterator[tuple[float, ...]]:
    """All ``size`` shares that are multiples of 1 / ``steps`` and sum to 1, the most even first."""
    counts = [split for split in np.ndindex(*[steps + 1] * size) if sum(split) == steps]
    yield from (tuple(count / steps for count in split) for split in sorted(counts, key=max))


def loss(kind: Kind, predicted: Floats, label: npt.NDArray[Any]) -> float:
    """The loss by which the weights of a head of ``kind`` are chosen; lower is better.

    Amounts: Spearman and normalised Gini. Classes: log loss. Probabilities, shares and counts: log loss after the level
    is corrected on the same rows, because levels drift and only the order of users matters; for classes the level
    matters too, since it decides which class is the likeliest.
    """
    match kind:
        case "classes":
            of_label = predicted[np.arange(len(label)), label]
            return float(-np.log(of_label.clip(MIN_PROBABILITY)).mean())
        case "amount":
            return -_rank_quality(predicted, label)
        case "count":
            return _poisson_loss(predicted, label)
        case "probability" | "share":
            return _log_loss(predicted, label)


def _rank_quality(predicted: Floats, amount: Floats) -> float:
    ones = weighted.ones(len(amount))
    return float(sum(statistic(amount, predicted, ones)[0] for statistic in (weighted.spearman, weighted.gini)))


def _poisson_loss(mean: Floats, count: Floats) -> float:
    """Log loss of a Poisson distribution, without the term that does not depend on ``mean``."""
    level = (fit_level(mean, count) * mean).clip(MIN_PROBABILITY)
    return float((level - count * np.log(level)).mean())


def _log_loss(probability: Floats, label: Floats) -> float:
    known = ~np.isnan(label)
    if not known.any():
        return 0.0  # no weights are better than others
    label, probability = label[known], probability[known]
    p = fit_probability(probability, label).correct(probability).clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return float(-(label * np.log(p) + (1 - label) * np.log1p(-p)).mean())
