"""Scores beside what happened: figures with intervals, differences to baselines and other bundles, segments."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from model_training.baselines import LIGHTGBM, Tried
from model_training.data.outcome import Floats, Outcome
from model_training.evaluation.bootstrap import DRAWS, Figures, bootstrap, interval
from model_training.evaluation.measures import INTERVAL, MEASURES, ReportMeasure, aimed, in_currency, measured
from model_training.evaluation.results import Comparison, Difference, Figure, Segment
from model_training.evaluation.segments import MIN_USERS, Members, scores_of, segments
from model_training.evaluation.weighted import ones
from model_training.runs.progress import track
from ulvspark.contract.heads import HEADS
from ulvspark.model.parts.predictions import Decisions

BUNDLE = "this bundle"

IN_SEGMENTS = ("spearman", "gini", "churn_auc", "tier_f1", "total_ratio")
"""Measures that a segment is reported by."""


@dataclass(frozen=True)
class Contest:
    """Users of one date: their rows, what they did, and what each model predicted of them.

    Amounts, those of the scores too, are in platform scales; figures and curves show them in currency.
    """

    rows: pd.DataFrame
    outcome: Outcome
    bundle: Decisions
    others: dict[str, Decisions]
    """Other bundles, by name."""
    tried: Tried
    """The baselines."""
    platform_scale: float
    """Of the date: what an amount of 1 is in currency."""
    coverage: float | None = None
    """The share of users that intervals were fitted to hold, those of the bundle and all that others have here."""

    @property
    def models(self) -> dict[str, Decisions]:
        return {BUNDLE: self.bundle, **self.others, **self.tried.scores}


def compare(contest: Contest, draws: int = DRAWS) -> tuple[dict[str, dict[str, Figure]], dict[str, Comparison]]:
    """Every measure of every model, and the bundle beside the best baseline and LightGBM, paired by resample."""
    models = {name: partial(measured, contest.outcome, scores) for name, scores in contest.models.items()}
    in_scales = bootstrap(models, len(contest.rows), draws, progress=True)
    of_models = {model: in_currency(values, contest.platform_scale) for model, values in in_scales.items()}
    figures = {
        model: {name: figure_of(values) for name, values in by_name.items()} for model, by_name in of_models.items()
    }
    baselines, others = (
        {model: of_models[model] for model in models} for models in (contest.tried.scores, contest.others)
    )
    ours = {name: values for name, values in of_models[BUNDLE].items() if not np.isnan(values[0])}
    measures = aimed(contest.coverage)
    return figures, {
        name: _comparison(name, measures[name], values, baselines, others) for name, values in ours.items()
    }


def _comparison(
    name: str, measure: ReportMeasure, ours: Floats, baselines: Mapping[str, Figures], others: Mapping[str, Figures]
) -> Comparison:
    theirs, bundles = (
        {model: values[name] for model, values in models.items() if name in values and not np.isnan(values[name][0])}
        for models in (baselines, others)
    )
    best = min(theirs, key=lambda model: float(measure.loss(theirs[model][:1])[0]), default=None)
    return Comparison(
        figure=figure_of(ours),
        best_baseline=best,
        against_best=None if best is None else _difference(measure, ours, theirs[best]),
        against_lightgbm=_difference(measure, ours, theirs[LIGHTGBM]) if LIGHTGBM in theirs else None,
        against_others={model: _difference(measure, ours, values) for model, values in bundles.items()},
    )


def figure_of(figures: Floats) -> Figure:
    """Value and interval from the sample's own figure and those of its resamples."""
    return Figure(None if np.isnan(figures[0]) else float(figures[0]), interval(figures))


def _difference(measure: ReportMeasure, ours: Floats, theirs: Floats) -> Difference:
    gained = measure.loss(theirs) - measure.loss(ours)
    return Difference(float(gained[0]), interval(gained))


def by_segment(contest: Contest, draws: int = DRAWS) -> tuple[list[Segment], list[str]]:
    """The segments of enough users, and the names of the others."""
    judged: list[Segment] = []
    small: list[str] = []
    for (group, name), members in track(segments(contest.rows).items(), "segments", "segment"):
        if members.sum() < MIN_USERS:
            small.append(f"{group}: {name} ({int(members.sum())} users)")
        else:
            judged.append(_segment(group, name, members, contest, draws))
    return judged, small


def _segment(group: str, name: str, members: Members, contest: Contest, draws: int) -> Segment:
    outcome = contest.outcome.take(members)
    rivals = {model: contest.models[model] for model in (BUNDLE, LIGHTGBM) if model in contest.models}
    models = {model: partial(_in_segment, outcome, scores_of(scores, members)) for model, scores in rivals.items()}
    figures = bootstrap(models, int(members.sum()), draws)
    ours, theirs = figures[BUNDLE], figures.get(LIGHTGBM, {})
    return Segment(
        group=group,
        name=name,
        users=int(members.sum()),
        mean_spend=float((outcome.spend_in_scales * contest.platform_scale).mean()),
        figures={measure: figure_of(values) for measure, values in ours.items()},
        against_lightgbm={
            measure: _difference(MEASURES[measure], values, theirs[measure])
            for measure, values in ours.items()
            if measure in theirs and np.isfinite([values[0], theirs[measure][0]]).all()
        },
    )


def _in_segment(outcome: Outcome, scores: Decisions, weights: Floats) -> Figures:
    chosen = {name: MEASURES[name] for name in IN_SEGMENTS if MEASURES[name].column in scores}
    return {name: measure.statistic(outcome, scores, weights) for name, measure in chosen.items()}


def undefined(contest: Contest) -> dict[str, str]:
    """Measures that the bundle has no figure for, and why."""
    figures = measured(contest.outcome, contest.bundle, ones(len(contest.rows)))
    reasons: dict[str, str] = {}
    for name, measure in MEASURES.items():
        if name not in figures:
            reasons[measure.title] = _absent(measure.column)
        elif np.isnan(figures[name][0]):
            reasons[measure.title] = _one_sided(contest.outcome)
    return reasons


def _absent(column: str) -> str:
    """Why a bundle does not fill a score column."""
    if column == INTERVAL:
        return "the bundle has no calibration, which its intervals come from"
    return f"the bundle has no head {' or '.join(name for name, head in HEADS.items() if column in head.filled)}"


def _one_sided(outcome: Outcome) -> str:
    churned, price_known = outcome.labels["churn"], ~np.isnan(outcome.labels["price_sensitivity"])
    facts = (
        (churned.all(), "everyone left within the window"),
        (not churned.any(), "nobody left within the window"),
        (not outcome.spend_in_scales.any(), "nobody spent anything within the window"),
        (not price_known.any(), "no purchase within the window has a reference price"),
    )
    return "; ".join(text for holds, text in facts if holds) or "all predictions or all outcomes are equal"
