"""Metrics of a saved bundle on rows that it did not learn from, scored by the predictor that serves it."""

from pathlib import Path

import pandas as pd
import torch

from model_training.data.dataset import Rows, TrainingSet
from model_training.data.examples import Examples
from model_training.evaluation.metrics import Metric, measure
from ulvspark.contract.spec import TierSpec
from ulvspark.model.network.network import UserValueNetwork
from ulvspark.model.parts.predictions import Decisions, in_platform_scales, predict, to_scores
from ulvspark.model.predictor import Predictor

USERS_AT_ONCE = 1024


def evaluate_bundle(folder: Path, training_set: TrainingSet, rows: Rows) -> dict[Metric, float]:
    """Metrics of the bundle in ``folder`` on ``rows``, all of one date."""
    predictor = Predictor.load(folder)
    outcome = training_set.outcome(predictor.manifest.tiers).take(rows)
    return measure(outcome, score_rows(predictor, training_set, rows))


def score_rows(predictor: Predictor, training_set: TrainingSet, rows: Rows) -> Decisions:
    """Scores of ``rows``, all of one date, amounts in platform scales; each distinct history is encoded once."""
    users = training_set.rows.iloc[rows]
    population = training_set.populations[users["as_of_date"].iloc[0]]
    of_row, _ = pd.factorize(users["history_hash"])
    vectors = predictor.encode(users.drop_duplicates("history_hash")["history"].tolist())
    scores = predictor.decide(vectors[of_row], users[list(predictor.manifest.history.numbers)], population)
    return in_platform_scales(scores, population.platform_scale)


def evaluate_in_memory(
    network: UserValueNetwork, examples: Examples, rows: Rows, tiers: TierSpec
) -> dict[Metric, float]:
    """Metrics of a network that reads pooled states or numbers alone."""
    heads = network.decider.spec.heads
    network = network.cpu().eval()
    pieces = [rows[start : start + USERS_AT_ONCE] for start in range(0, len(rows), USERS_AT_ONCE)]
    with torch.no_grad():
        outputs = [network(**examples.batch(piece.tolist())) for piece in pieces]
    raw = {head: torch.cat([piece[head] for piece in outputs]).double() for head in heads}
    return measure(examples.outcome.take(rows), to_scores(predict(raw), tiers, platform_scale=1.0))
