"""What each part of a bundle predicts of rows that no part has learned from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from model_training.data.dataset import Rows, TrainingSet
from model_training.data.outcome import Outcome
from model_training.runs.progress import Progress
from ulvspark.model.inference.scorer import Scorer
from ulvspark.model.parts.blend import Part
from ulvspark.model.parts.linear import rfm_matrix, rfm_names
from ulvspark.model.parts.predictions import Array, Predicted, Prediction
from ulvspark.model.predictor import Predictor

TEXTS_AT_ONCE = 256

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HeldOutPredictions:
    """n rows with what happened and what each part predicts."""

    outcome: Outcome
    predictions: dict[Part, Prediction]

    def take(self, rows: Rows) -> "HeldOutPredictions":
        """Some of the rows."""
        predictions = {
            part: {head: predicted.take(rows) for head, predicted in prediction.items()}
            for part, prediction in self.predictions.items()
        }
        return HeldOutPredictions(self.outcome.take(rows), predictions)


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
    """What each part of ``scorer`` predicts of ``rows``, whose vectors (n, vector_size) are in the same order."""
    table = training_set.rows.iloc[rows]
    places, pieces = [], []
    for population, place in training_set.by_population(rows):
        numbers = table.iloc[place][list(scorer.history.numbers)]
        places.append(place)
        pieces.append(scorer.predict(vectors[place], numbers, population))
    order = np.argsort(np.concatenate(places))
    return {
        part: {head: Predicted.joined([piece[part][head] for piece in pieces], order) for head in pieces[0][part]}
        for part in pieces[0]
    }


def rfm(training_set: TrainingSet, rows: Rows) -> Array:
    """``rfm_matrix`` (n, R) of ``rows``, each within the population of its platform and date."""
    table, spec = training_set.rows.iloc[rows], training_set.meta.history_spec
    matrix = np.empty((len(table), len(rfm_names(spec))))
    for population, place in training_set.by_population(rows):
        matrix[place] = rfm_matrix(table.iloc[place], population, spec)
    return matrix
