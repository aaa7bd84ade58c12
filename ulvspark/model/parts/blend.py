"""Several predictions of the same users as one: a weighted mean, by head."""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np

from ulvspark.contract.spec import Head
from ulvspark.model.network.heads import Spend
from ulvspark.model.parts.predictions import Array, Prediction

Part = Literal["network", "gbm", "linear"]
PARTS: tuple[Part, ...] = get_args(Part)

Weights = dict[Head, dict[Part, float]]
"""By head, the weight of each part; they sum to 1. A head that is not there is the network's alone."""

NETWORK_ALONE: dict[Part, float] = {"network": 1.0}


def blend(predictions: Mapping[Part, Prediction], weights: Weights) -> Prediction:
    """The weighted mean of what the parts predict: of probabilities, mean spend and the parameters of its distribution.

    ``predictions`` holds every part with a weight, the network among them; its heads are those of the blend.
    """

    def mean(head: Head, what: Callable[[Prediction], Array | None]) -> Array | None:
        if what(predictions["network"]) is None:
            return None
        parts = weights.get(head, NETWORK_ALONE)
        weighted = [weight * np.asarray(what(predictions[part])) for part, weight in parts.items() if weight]
        return np.asarray(np.sum(weighted, axis=0))

    return Prediction(
        tier=mean("tier", lambda each: each.tier),
        value=mean("spend", lambda each: each.value),
        spend=_blend_spend(predictions, weights.get("spend", NETWORK_ALONE)),
        churn=mean("churn", lambda each: each.churn),
        price_sensitivity=mean("price_sensitivity", lambda each: each.price_sensitivity),
    )


def _blend_spend(predictions: Mapping[Part, Prediction], weights: Mapping[Part, float]) -> Spend | None:
    if predictions["network"].spend is None:
        return None
    parts = [(weight, predictions[part].spend) for part, weight in weights.items() if weight]
    return Spend(*(
        sum(weight * parameter for weight, parameter in zip([w for w, _ in parts], column, strict=True))
        for column in zip(*(spend for _, spend in parts if spend is not None), strict=True)
    ))  # fmt: skip
