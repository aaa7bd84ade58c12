"""How good a saved bundle is on rows it never saw: scored through the predictor that serves it."""

from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from model_training.data.dataset import Rows, TrainingSet
from model_training.data.examples import Examples, take
from model_training.evaluation.metrics import Metric, measure
from ulvspark.contract.spec import Head, TierSpec
from ulvspark.model.network.network import UserValueNetwork
from ulvspark.model.parts.predictions import read_outputs
from ulvspark.model.predictor import Decisions, Predictor

AT_ONCE = 1024


def evaluate_bundle(folder: Path, training_set: TrainingSet, rows: Rows) -> dict[Metric, float]:
    """Metrics of the bundle in ``folder`` on ``rows``, all of one date."""
    predictor = Predictor.load(folder)
    outcome = take(training_set.outcome(predictor.manifest.tiers), rows)
    return measure(outcome, score_rows(predictor, training_set, rows), predictor.manifest.network.heads)


def score_rows(predictor: Predictor, training_set: TrainingSet, rows: Rows) -> Decisions:
    """Scores of ``rows``, all of one date; each distinct history is encoded once."""
    here = training_set.rows.iloc[rows]
    population = training_set.populations[here["as_of_date"].iloc[0]]
    of_row, _ = pd.factorize(here["history_hash"])
    vectors = predictor.encode(here.drop_duplicates("history_hash")["history"].tolist())
    return predictor.decide(vectors[of_row], here[list(predictor.manifest.history.numbers)], population)


def evaluate_in_memory(
    network: UserValueNetwork, examples: Examples, rows: Rows, tiers: TierSpec
) -> dict[Metric, float]:
    """Metrics of a network that reads pooled states or numbers alone."""
    heads = network.decider.spec.heads
    network = network.cpu().eval()
    pieces = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
    with torch.no_grad():
        outputs = [network(**examples.batch(piece.tolist())) for piece in pieces]
    raw: dict[Head, Tensor] = {head: torch.cat([each[head] for each in outputs]).double() for head in heads}
    return measure(take(examples.outcome, rows), read_outputs(raw, tiers, 1.0), heads)
