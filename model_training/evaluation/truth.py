"""Scores beside what only a simulator knows of users: how well they recover it, and how well it predicts what happened.

The truth is the table ``truth/truth_users`` that ``jobs/simulate.py`` writes beside its events.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np
import pandas as pd

from model_training.data.dataset import open_table
from model_training.data.outcome import Floats
from model_training.evaluation import weighted
from model_training.evaluation.bootstrap import DRAWS, Figures, bootstrap, interval
from model_training.evaluation.judge import BUNDLE, Contest, figure_of
from model_training.evaluation.measures import MEASURES, ReportMeasure
from model_training.evaluation.results import Difference, KnownTruth, Recovery
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.parts.predictions import Decisions

TRUTH = "the truth itself"
RECENCY = "days since the last purchase"

COLUMNS = ("user_id", "price_elasticity", "left_on", "periods_from", "period_days")

RATES = ("visits_per_day", "churn_hazard", "latent_value")
"""Columns that hold a value a period."""

ORDER_MEASURES = ("churn_auc", "spearman", "gini", "price_spearman")
"""Measures of what happened that only need an order of users."""


@dataclass(frozen=True)
class Latent:
    """Something latent (n,), and the score column that should rise with it."""

    title: str
    column: str
    values: Floats


def read_truth(root: str, rows: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """The truth below ``root`` as of a date, in the order of ``rows``: ``RATES`` are those of the date's period.

    Raises ExpectedError where it is of other users, or ends before the date.
    """
    table = open_table(f"{root}/truth", "truth_users", "run jobs/simulate.py or correct --truth")
    truth: pd.DataFrame = table.to_pyarrow_table(columns=[*COLUMNS, *RATES]).to_pandas()
    truth = truth.set_index("user_id").reindex(rows["user_id"])
    strangers = int(truth["left_on"].isna().sum())
    if strangers:
        raise ExpectedError(
            f"{root}: {strangers} of {len(rows)} users have no truth; give the simulation that the warehouse was "
            "loaded from"
        )
    period = (as_of - truth["periods_from"].iloc[0]).days // int(truth["period_days"].iloc[0])
    if not 0 <= period < len(truth[RATES[0]].iloc[0]):
        raise ExpectedError(f"{root}: nothing was simulated on {as_of}; give the simulation of the warehouse")
    for name in RATES:
        truth[name] = np.stack(list(truth[name]))[:, period].astype(np.float64)
    return truth.reset_index(drop=True)


def oracle(truth: pd.DataFrame, as_of: date, horizon_days: int) -> Decisions:
    """The expectation of somebody who knows the truth of each user: an order of users, not amounts.

    A user who is there on ``as_of`` stays for another (1 - exp(-hazard * horizon)) / hazard days of the window on
    average, and the visits, and what is bought, are in proportion to them.
    """
    hazard = truth["churn_hazard"].to_numpy(np.float64)
    there = (truth["left_on"] >= as_of).to_numpy(np.float64)
    days = there * -np.expm1(-hazard * horizon_days) / hazard
    return {
        "expected_value": days * truth["latent_value"].to_numpy(np.float64),
        "churn_probability": np.exp(-days * truth["visits_per_day"].to_numpy(np.float64)),
        "price_sensitivity": truth["price_elasticity"].to_numpy(np.float64),
    }


def recover(contest: Contest, truth: pd.DataFrame, as_of: date, horizon_days: int, draws: int = DRAWS) -> KnownTruth:
    """Each model's rank correlation with the truth; and measures of what happened, with the truth as one more model.

    ``truth`` holds a row a user of ``contest``, in the same order.
    """
    best = oracle(truth, as_of, horizon_days)
    models = {**contest.models, RECENCY: {"churn_probability": contest.rows["recency_days"].to_numpy(np.float64)}}
    rivals = {*contest.tried.scores, RECENCY}
    latents = [latent for latent in _latents(truth, best) if latent.column in contest.bundle]
    measures = [MEASURES[name] for name in ORDER_MEASURES if MEASURES[name].column in contest.bundle]
    return KnownTruth(
        [_recovery(latent.title, _correlations(latent, models), rivals, len(truth), draws) for latent in latents],
        [_recovery(measure.title, _measured(measure, {**models, TRUTH: best}, contest), rivals, len(truth), draws)
         for measure in measures],
    )  # fmt: skip


def _latents(truth: pd.DataFrame, best: Decisions) -> list[Latent]:
    return [
        Latent("churn hazard", "churn_probability", truth["churn_hazard"].to_numpy(np.float64)),
        Latent("chance of no visit in the window", "churn_probability", best["churn_probability"]),
        Latent("latent value", "expected_value", truth["latent_value"].to_numpy(np.float64)),
        Latent("latent value times days to stay", "expected_value", best["expected_value"]),
        Latent("price elasticity", "price_sensitivity", best["price_sensitivity"]),
    ]


FiguresByModel = Mapping[str, "partial[Figures]"]
"""By model, the function from weights of the users to its figures."""


def _correlations(latent: Latent, models: Mapping[str, Decisions]) -> FiguresByModel:
    def correlation(values: Floats, weights: Floats) -> Figures:
        return {latent.title: weighted.spearman(latent.values, values, weights)}

    return {
        name: partial(correlation, scores[latent.column]) for name, scores in models.items() if latent.column in scores
    }


def _measured(measure: ReportMeasure, models: Mapping[str, Decisions], contest: Contest) -> FiguresByModel:
    def statistic(scores: Decisions, weights: Floats) -> Figures:
        return {measure.title: measure.statistic(contest.outcome, scores, weights)}

    return {name: partial(statistic, scores) for name, scores in models.items() if measure.column in scores}


def _recovery(title: str, models: FiguresByModel, rivals: set[str], users: int, draws: int) -> Recovery:
    measures = {name: figures[title] for name, figures in bootstrap(models, users, draws).items()}
    defined = {name for name, values in measures.items() if np.isfinite(values[0])}
    best = max(defined & rivals, key=lambda name: float(measures[name][0]), default=None)
    return Recovery(
        title,
        {name: figure_of(values) for name, values in measures.items()},
        best,
        None if best is None or BUNDLE not in defined else _difference(measures[BUNDLE] - measures[best]),
    )


def _difference(gained: Floats) -> Difference:
    return Difference(float(gained[0]), interval(gained))
