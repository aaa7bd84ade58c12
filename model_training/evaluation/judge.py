"""Scores against what happened: figures with intervals, differences to the baselines, segments and curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from model_training.baselines import LIGHTGBM, Tried
from model_training.evaluation.bootstrap import DRAWS, Figures, bootstrap, interval
from model_training.evaluation.measures import MEASURES, Measure, aimed, has, measured
from model_training.evaluation.metrics import Floats, Outcome
from model_training.evaluation.results import Comparison, Difference, Figure, Segment
from model_training.evaluation.segments import SMALLEST, outcome_of, scores_of, segments
from model_training.evaluation.weighted import ones
from model_training.runs.progress import track
from ulvspark.model.parts.predictions import Decisions

BUNDLE = "this bundle"

IN_SEGMENTS = ("spearman", "gini", "churn_auc", "tier_f1", "total_ratio")
"""Measures that a segment is reported by."""

ABSENT = {
    "value": "the bundle has neither a spend nor a tier head", "median": "the bundle has no spend head",
    "interval": "the bundle has no calibration, which its intervals come from", "churn": "the bundle has no churn head",
    "tier": "the bundle has no tier head", "price_sensitivity": "the bundle has no price sensitivity head",
}  # fmt: skip


@dataclass(frozen=True)
class Contest:
    """Users of one date: their rows, what they did (spend in currency), and what each model predicted of them."""

    rows: pd.DataFrame
    outcome: Outcome
    bundle: Decisions
    others: dict[str, Decisions]
    """Other bundles, by name."""
    tried: Tried
    """The baselines."""
    coverage: float | None = None
    """The share of users that intervals were fitted to hold, those of the bundle and all that others have here."""

    @property
    def models(self) -> dict[str, Decisions]:
        return {BUNDLE: self.bundle, **self.others, **self.tried.scores}


def compare(contest: Contest, draws: int = DRAWS) -> tuple[dict[str, dict[str, Figure]], dict[str, Comparison]]:
    """Every measure of every model, and the bundle beside the best baseline and LightGBM, paired by resample."""
    models = {name: partial(measured, contest.outcome, scores) for name, scores in contest.models.items()}
    found = bootstrap(models, len(contest.rows), draws, progress=True)
    figures = {model: {name: figure_of(each) for name, each in of.items()} for model, of in found.items()}
    baselines, others = ({name: found[name] for name in of} for of in (contest.tried.scores, contest.others))
    ours = {name: each for name, each in found[BUNDLE].items() if not np.isnan(each[0])}
    measures = aimed(contest.coverage)
    return figures, {name: _comparison(name, measures[name], each, baselines, others) for name, each in ours.items()}


def _comparison(
    name: str, measure: Measure, ours: Floats, baselines: Mapping[str, Figures], others: Mapping[str, Figures]
) -> Comparison:
    theirs, bundles = (
        {model: of[name] for model, of in models.items() if name in of and not np.isnan(of[name][0])}
        for models in (baselines, others)
    )
    best = min(theirs, key=lambda model: float(measure.loss(theirs[model][:1])[0]), default=None)
    return Comparison(
        figure=figure_of(ours),
        best_baseline=best,
        against_best=None if best is None else _difference(measure, ours, theirs[best]),
        against_lightgbm=_difference(measure, ours, theirs[LIGHTGBM]) if LIGHTGBM in theirs else None,
        against_others={model: _difference(measure, ours, each) for model, each in bundles.items()},
    )


def figure_of(figures: Floats) -> Figure:
    """Value and interval from the sample's own figure and those of its resamples."""
    return Figure(None if np.isnan(figures[0]) else float(figures[0]), interval(figures))


def _difference(measure: Measure, ours: Floats, theirs: Floats) -> Difference:
    gained = measure.loss(theirs) - measure.loss(ours)
    return Difference(float(gained[0]), interval(gained))


def by_segment(contest: Contest, draws: int = DRAWS) -> tuple[list[Segment], list[str]]:
    """The segments of enough users, and the names of the others."""
    found: list[Segment] = []
    small: list[str] = []
    for (group, name), members in track(segments(contest.rows).items(), "segments", "segment"):
        if members.sum() < SMALLEST:
            small.append(f"{group}: {name} ({int(members.sum())} users)")
        else:
            found.append(_segment(group, name, members, contest, draws))
    return found, small


def _segment(group: str, name: str, members: "np.typing.NDArray[np.bool_]", contest: Contest, draws: int) -> Segment:
    outcome = outcome_of(contest.outcome, members)
    rivals = {name: contest.models[name] for name in (BUNDLE, LIGHTGBM) if name in contest.models}
    models = {name: partial(_in_segment, outcome, scores_of(scores, members)) for name, scores in rivals.items()}
    figures = bootstrap(models, int(members.sum()), draws)
    ours, theirs = figures[BUNDLE], figures.get(LIGHTGBM, {})
    return Segment(
        group=group,
        name=name,
        users=int(members.sum()),
        mean_spend=float(outcome.spend.mean()),
        figures={each: figure_of(ours[each]) for each in ours},
        against_lightgbm={
            each: _difference(MEASURES[each], ours[each], theirs[each])
            for each in ours
            if each in theirs and np.isfinite([ours[each][0], theirs[each][0]]).all()
        },
    )


def _in_segment(outcome: Outcome, scores: Decisions, weights: Floats) -> Figures:
    chosen = {name: MEASURES[name] for name in IN_SEGMENTS}
    return {name: each.of(outcome, scores, weights) for name, each in chosen.items() if has(scores, each.score)}


def undefined(contest: Contest) -> dict[str, str]:
    """Measures that the bundle has no figure for, and why."""
    figures = measured(contest.outcome, contest.bundle, ones(len(contest.rows)))
    reasons: dict[str, str] = {}
    for name, each in MEASURES.items():
        if name not in figures:
            reasons[each.title] = ABSENT[each.score]
        elif np.isnan(figures[name][0]):
            reasons[each.title] = _one_sided(contest.outcome)
    return reasons


def _one_sided(outcome: Outcome) -> str:
    churned, seen = outcome.churned, ~np.isnan(outcome.price_sensitivity)
    facts = (
        (churned.all(), "everyone left within the window"),
        (not churned.any(), "nobody left within the window"),
        (not outcome.spend.any(), "nobody spent anything within the window"),
        (not seen.any(), "no purchase within the window has a reference price"),
    )
    return "; ".join(text for holds, text in facts if holds) or "all predictions or all outcomes are equal"
