"""Several predictions of the same users as one: a weighted mean, head by head."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from ulvspark.contract.heads import HeadName
from ulvspark.model.network.heads import ZeroInflatedLognormal
from ulvspark.model.parts.predictions import Predicted, Prediction

Part = Literal["network", "trees", "linear"]
PARTS: tuple[Part, ...] = get_args(Part)

Weights = dict[HeadName, dict[Part, float]]
"""By head, the weight of each part; they sum to 1. A head that is not in it is predicted by the network alone."""

NETWORK_ALONE: dict[Part, float] = {"network": 1.0}


def blend(predictions: Mapping[Part, Prediction], weights: Weights) -> Prediction:
    """The weighted mean of what the parts predict: of values, and of the parameters of distributions.

    ``predictions`` holds every part with a weight, the network among them; its heads are those of the blend.
    """
    return {head: blend_head(head, predictions, weights.get(head, NETWORK_ALONE)) for head in predictions["network"]}


def blend_head(head: str, predictions: Mapping[Part, Prediction], weights: Mapping[Part, float]) -> Predicted:
    """The weighted mean of what the parts predict of one head."""
    weighted = [(weight, predictions[part][head]) for part, weight in weights.items() if weight]
    value = np.sum([weight * np.asarray(predicted.value) for weight, predicted in weighted], axis=0)
    return Predicted(np.asarray(value), _blend_distributions(weighted))


def _blend_distributions(weighted: Sequence[tuple[float, Predicted]]) -> ZeroInflatedLognormal | None:
    known = [(weight, predicted.distribution) for weight, predicted in weighted if predicted.distribution is not None]
    if not known:
        return None
    weights, distributions = zip(*known, strict=True)
    return ZeroInflatedLognormal(*(
        sum(weight * parameter for weight, parameter in zip(weights, column, strict=True))
        for column in zip(*distributions, strict=True)
    ))  # fmt: skip
