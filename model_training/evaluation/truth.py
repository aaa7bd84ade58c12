"""Scores beside what only a simulator knows: how far the truth is recovered, and how far the truth itself would get.

The truth is the table ``truth`` that ``jobs/simulate.py`` writes beside its events.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from model_training.data.dataset import open_table
from model_training.evaluation import weighted
from model_training.evaluation.bootstrap import DRAWS, Figures, bootstrap, interval
from model_training.evaluation.judge import BUNDLE, Contest, figure_of
from model_training.evaluation.measures import MEASURES, Measure, has
from model_training.evaluation.metrics import Floats
from model_training.evaluation.results import Difference, KnownTruth, Recovery
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.parts.predictions import Decisions

TRUTH = "the truth itself"
RECENCY = "days since the last purchase"

COLUMNS = ("user_id", "visits_per_day", "churn_hazard", "price_elasticity", "latent_value", "left_on")

Score = Literal["churn_probability", "expected_value", "price_sensitivity"]

LABELS = ("churn_auc", "spearman", "gini", "price_spearman")
"""Measures of what happened that an order of users suffices for."""


@dataclass(frozen=True)
class Latent:
    """Something latent (n,), and the score that should rise with it."""

    title: str
    score: Score
    values: Floats


def read_truth(root: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The truth below ``root``, in the order of ``rows``. Raises ExpectedError where it is of other users."""
    table = open_table(root, "truth", "run jobs/simulate.py or correct --truth").to_pyarrow_table(columns=list(COLUMNS))
    truth: pd.DataFrame = table.to_pandas().set_index("user_id").reindex(rows["user_id"])
    strangers = int(truth["left_on"].isna().sum())
    if strangers:
        raise ExpectedError(
            f"{root}: {strangers} of {len(rows)} users have no truth; give the simulation that the warehouse was "
            "loaded from"
        )
    return truth.reset_index(drop=True)


def oracle(truth: pd.DataFrame, as_of: date, horizon_days: int) -> Decisions:
    """What who knows the truth expects of the window: an order of users, not amounts.

    A user who is there on ``as_of`` stays for another (1 - exp(-hazard * horizon)) / hazard days of the window on
    average, and the visits, and what is bought, are in proportion to them.
    """
    hazard = truth["churn_hazard"].to_numpy(np.float64)
    there = (truth["left_on"] >= as_of).to_numpy(np.float64)
    days = there * -np.expm1(-hazard * horizon_days) / hazard
    return Decisions(
        tier_probabilities=None,
        expected_value=days * truth["latent_value"].to_numpy(np.float64),
        expected_value_median=None,
        churn_probability=np.exp(-days * truth["visits_per_day"].to_numpy(np.float64)),
        price_sensitivity=truth["price_elasticity"].to_numpy(np.float64),
    )


def recover(contest: Contest, truth: pd.DataFrame, as_of: date, horizon_days: int, draws: int = DRAWS) -> KnownTruth:
    """Each model's rank correlation with the truth; and measures of what happened, the truth among the models.

    ``truth`` holds a row a user of ``contest``, in the same order.
    """
    best = oracle(truth, as_of, horizon_days)
    recency = Decisions(None, None, None, contest.rows["recency_days"].to_numpy(np.float64), None)
    models = {**contest.models, RECENCY: recency}
    rivals = {*contest.tried.scores, RECENCY}
    latents = [each for each in _latents(truth, best) if getattr(contest.bundle, each.score) is not None]
    labels = [MEASURES[name] for name in LABELS if has(contest.bundle, MEASURES[name].score)]
    return KnownTruth(
        [_recovery(each.title, _correlations(each, models), rivals, len(truth), draws) for each in latents],
        [_recovery(each.title, _measured(each, {**models, TRUTH: best}, contest), rivals, len(truth), draws)
         for each in labels],
    )  # fmt: skip


def _latents(truth: pd.DataFrame, best: Decisions) -> list[Latent]:
    found: list[tuple[str, Score, Floats | None]] = [
        ("churn hazard", "churn_probability", truth["churn_hazard"].to_numpy(np.float64)),
        ("chance of no visit in the window", "churn_probability", best.churn_probability),
        ("latent value", "expected_value", truth["latent_value"].to_numpy(np.float64)),
        ("latent value times days to stay", "expected_value", best.expected_value),
        ("price elasticity", "price_sensitivity", best.price_sensitivity),
    ]
    return [Latent(title, score, values) for title, score, values in found if values is not None]


Curves = Mapping[str, "partial[Figures]"]


def _correlations(latent: Latent, models: Mapping[str, Decisions]) -> Curves:
    def correlation(values: Floats, weights: Floats) -> Figures:
        return {latent.title: weighted.spearman(latent.values, values, weights)}

    scores = {name: getattr(each, latent.score) for name, each in models.items()}
    return {name: partial(correlation, values) for name, values in scores.items() if values is not None}


def _measured(measure: Measure, models: Mapping[str, Decisions], contest: Contest) -> Curves:
    def statistic(scores: Decisions, weights: Floats) -> Figures:
        return {measure.title: measure.of(contest.outcome, scores, weights)}

    return {name: partial(statistic, each) for name, each in models.items() if has(each, measure.score)}


def _recovery(title: str, models: Curves, rivals: set[str], users: int, draws: int) -> Recovery:
    found = {name: figures[title] for name, figures in bootstrap(models, users, draws).items()}
    defined = {name for name, each in found.items() if np.isfinite(each[0])}
    best = max(defined & rivals, key=lambda name: float(found[name][0]), default=None)
    return Recovery(
        title,
        {name: figure_of(each) for name, each in found.items()},
        best,
        None if best is None or BUNDLE not in defined else _difference(found[BUNDLE] - found[best]),
    )


def _difference(gained: Floats) -> Difference:
    return Difference(float(gained[0]), interval(gained))
