"""Vectors and numbers to scores: each part of a bundle predicts, the blend averages, the calibration corrects."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from ulvspark.contract.spec import HistorySpec, TierSpec
from ulvspark.history.features import feature_matrix
from ulvspark.history.population import Population
from ulvspark.model.network.network import Decider
from ulvspark.model.parts.blend import Part, Weights, blend
from ulvspark.model.parts.linear import rfm_matrix
from ulvspark.model.parts.parts import Parts
from ulvspark.model.parts.predictions import Decisions, Prediction, predict, to_scores


@dataclass(frozen=True)
class Scorer:
    """What a bundle computes from a user's vector and numbers."""

    decider: Decider
    tiers: TierSpec
    history: HistorySpec
    parts: Parts
    weights: Weights

    def decide(self, vectors: npt.NDArray[np.float32], numbers: pd.DataFrame, population: Population) -> Decisions:
        """Scores of n users from (n, vector_size) and the columns ``history.numbers``, in ``population``'s currency."""
        prediction = blend(self.predict(vectors, numbers, population), self.weights)
        if self.parts.calibration is not None:
            prediction = self.parts.calibration.apply(prediction)
        return to_scores(prediction, self.tiers, population.platform_scale)

    def predict(
        self, vectors: npt.NDArray[np.float32], numbers: pd.DataFrame, population: Population
    ) -> dict[Part, Prediction]:
        """What each part predicts, before blending and calibration."""
        features = feature_matrix(numbers, population, self.history)
        with torch.inference_mode():
            raw = self.decider(torch.from_numpy(vectors), torch.from_numpy(features))
        predictions: dict[Part, Prediction] = {
            "network": predict({head: outputs.double() for head, outputs in raw.items()})
        }
        if self.parts.trees is not None:
            predictions["trees"] = self.parts.trees.predict(features)
        if self.parts.linear is not None:
            predictions["linear"] = self.parts.linear.predict(rfm_matrix(numbers, population, self.history))
        return predictions
