"""Rows that no part of a bundle has learned from, and what each part predicts of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from model_training.data import examples
from model_training.data.dataset import Rows, TrainingSet
from model_training.evaluation.metrics import Outcome
from model_training.runs.progress import Progress
from ulvspark.model.inference.scorer import Scorer
from ulvspark.model.network.heads import Spend
from ulvspark.model.parts.blend import Part
from ulvspark.model.parts.linear import rfm_matrix, rfm_names
from ulvspark.model.parts.predictions import Array, Prediction
from ulvspark.model.predictor import Predictor

TEXTS_AT_ONCE = 256

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Unseen:
    """n rows with what happened (spend in platform scales) and what each part predicts."""

    outcome: Outcome
    predictions: dict[Part, Prediction]

    def take(self, chosen: Rows) -> "Unseen":
        """Some of the rows."""
        found = {part: take(prediction, chosen) for part, prediction in self.predictions.items()}
        return Unseen(examples.take(self.outcome, chosen), found)


def encode(predictor: Predictor, rows: pd.DataFrame) -> Vectors:
    """(n, vector_size) of the histories of ``rows``, each distinct one read once."""
    of_row, _ = pd.factorize(rows["history_hash"])
    histories = rows.drop_duplicates("history_hash")["history"].tolist()
    starts = range(0, len(histories), TEXTS_AT_ONCE)
    with Progress("read texts", len(histories), "text") as bar:
        pieces = []
        for start in starts:
            pieces.append(predictor.encode(histories[start : start + TEXTS_AT_ONCE]))
            bar.update(len(pieces[-1]))
    return np.concatenate(pieces)[of_row]


def predict(scorer: Scorer, vectors: Vectors, training_set: TrainingSet, rows: Rows) -> dict[Part, Prediction]:
    """What each part of ``scorer`` says of ``rows``, whose vectors (n, vector_size) are in the same order."""
    here = training_set.rows.iloc[rows]
    places, pieces = [], []
    for population, place in training_set.by_population(rows):
        numbers = here.iloc[place][list(scorer.history.numbers)]
        places.append(place)
        pieces.append(scorer.predict(vectors[place], numbers, population))
    order = np.argsort(np.concatenate(places))
    return {part: _joined([piece[part] for piece in pieces], order) for part in pieces[0]}


def rfm(training_set: TrainingSet, rows: Rows) -> Array:
    """``rfm_matrix`` (n, R) of ``rows``, each within the population of its platform and date."""
    here, spec = training_set.rows.iloc[rows], training_set.meta.history_spec
    matrix = np.empty((len(here), len(rfm_names(spec))))
    for population, place in training_set.by_population(rows):
        matrix[place] = rfm_matrix(here.iloc[place], population, spec)
    return matrix


def take(prediction: Prediction, chosen: Rows) -> Prediction:
    """The prediction of some rows."""
    return _joined([prediction], chosen)


def _joined(pieces: Sequence[Prediction], chosen: Rows) -> Prediction:
    def join(arrays: list[Array | None]) -> Array | None:
        known = [each for each in arrays if each is not None]
        return np.concatenate(known)[chosen] if known else None

    spends = [each.spend for each in pieces if each.spend is not None]
    return Prediction(
        tier=join([each.tier for each in pieces]),
        value=join([each.value for each in pieces]),
        spend=Spend(*(torch.cat(column)[chosen] for column in zip(*spends, strict=True))) if spends else None,
        churn=join([each.churn for each in pieces]),
        price_sensitivity=join([each.price_sensitivity for each in pieces]),
    )
