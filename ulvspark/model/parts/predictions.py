"""Predictions by head, as the parts of a bundle make them, and scores by column, as tables hold them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ulvspark.contract.heads import HEADS, Head, columns_of
from ulvspark.contract.spec import TierSpec
from ulvspark.model.network.heads import ZeroInflatedLognormal, amount_distribution, predicted_value

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """What one head predicts of n users."""

    value: Array
    """(n, K) probabilities of classes, whose rows sum to 1; else (n,): mean amount in platform scales, mean count,
    probability or share."""
    distribution: ZeroInflatedLognormal | None = None
    """Of an amount: what its median and interval are read from. Its mean need not be ``value``."""
    tail: float | None = None
    """The interval of an amount leaves this much of the distribution out at either end; None: no interval is given."""

    def take(self, rows: npt.NDArray[np.int64]) -> Self:
        """The prediction of some rows."""
        return self.joined([self], rows)

    @classmethod
    def joined(cls, pieces: Iterable["Predicted"], rows: npt.NDArray[np.int64]) -> Self:
        """``rows`` of all ``pieces`` one after another; the pieces are of one head and have one ``tail``."""
        pieces = list(pieces)
        distributions = [piece.distribution for piece in pieces if piece.distribution is not None]
        return cls(
            np.concatenate([piece.value for piece in pieces])[rows],
            ZeroInflatedLognormal(*(torch.cat(column)[rows] for column in zip(*distributions, strict=True)))
            if distributions
            else None,
            pieces[0].tail,
        )


Prediction = dict[str, Predicted]
"""By head, of those that a part predicts."""

Decisions = dict[str, Array]
"""Scores of n users by column of ``schema.SCORE_COLUMNS``; what a bundle has no head for is not in it.

``tier_probabilities`` is (n, K), lowest tier first, all others are (n,).
"""

AMOUNT_COLUMNS = columns_of("amount")


def predict(raw: Mapping[str, Tensor]) -> Prediction:
    """The network's prediction from the raw outputs of its heads."""
    return {head: _predicted(HEADS[head], outputs) for head, outputs in raw.items()}


def _predicted(head: Head, raw: Tensor) -> Predicted:
    distribution = amount_distribution(raw) if head.kind == "amount" else None
    return Predicted(predicted_value(head.kind, raw).numpy(), distribution)


def to_scores(prediction: Prediction, tiers: TierSpec, platform_scale: float) -> Decisions:
    """The scores of a prediction, amounts times ``platform_scale``: with 1 they stay in platform scales.

    Without a head that predicts spend, the expected value is the mean over the tiers. Price sensitivity is the share of
    spend expected below reference price: an association, not an effect of discounts.
    """
    scores: Decisions = {}
    for head, predicted in prediction.items():
        if HEADS[head].kind == "amount":
            scores |= {name: values * platform_scale for name, values in _amounts(HEADS[head], predicted)}
        else:
            scores[HEADS[head].columns[0]] = predicted.value
    if "tier" in prediction and "expected_value" not in scores:
        scores["expected_value"] = prediction["tier"].value @ np.asarray(tiers.means) * platform_scale
    return scores


def _amounts(head: Head, predicted: Predicted) -> Iterator[tuple[str, Array]]:
    """The columns of a head of kind ``amount`` in platform scales. A tail below 0.5 keeps low <= median <= high."""
    mean, median, low, high = head.columns
    yield mean, predicted.value
    if predicted.distribution is not None:
        quantiles = {median: 0.5}
        if predicted.tail is not None:
            quantiles |= {low: predicted.tail, high: 1 - predicted.tail}
        for name, q in quantiles.items():
            yield name, predicted.distribution.quantile(q).numpy()


def in_platform_scales(scores: Decisions, platform_scale: float) -> Decisions:
    """Scores whose amounts are in currency, with amounts in platform scales instead."""
    return {name: values / platform_scale if name in AMOUNT_COLUMNS else values for name, values in scores.items()}
