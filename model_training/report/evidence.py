"""The sections of the report for who checks the figures: comparisons, groups of users, dates, limits."""

from collections.abc import Iterator, Sequence

import pandas as pd

from model_training.baselines import LIGHTGBM
from model_training.evaluation.judge import BUNDLE, IN_SEGMENTS
from model_training.evaluation.measures import MEASURES, aimed
from model_training.evaluation.results import Comparison, Evaluation, EvaluationProtocol, Figure, Recovery, Segment
from model_training.evaluation.truth import TRUTH
from model_training.report import charts
from model_training.report.blocks import Block, Chart, ReportTable, as_table
from model_training.report.formatting import NONE, count, difference, figure, number

WITHIN_ONE = (
    "spearman", "spearman_spenders", "gini", "top20_auc", "top20_recall", "churn_auc", "churn_precision", "tier_f1",
)  # fmt: skip
"""Measures whose values are at most 1, so that one chart can show their differences."""

WITH_INTERVAL = ("spearman", "churn_auc")
"""Measures whose intervals fit into the table of groups."""

TRANSFERRED = "Transferred: the bundle learned from other platforms only and has seen no label of this one."

ASSOCIATION = (
    "Price sensitivity is the share of a user's spend on products bought 5 % or more below their usual price. It is an "
    "association with past behaviour: it shows who tends to buy at low prices, not what a discount would change."
)


def other_horizon(protocol: EvaluationProtocol) -> str:
    """What cannot be judged where the bundle's horizon is not that of the labels."""
    return (
        f"the bundle predicts {protocol.bundle_horizon_days} days, not {protocol.horizon_days}: the order of users can "
        "be judged; amounts, tiers and probabilities cannot"
    )


def baselines(evaluation: Evaluation) -> Iterator[Block]:
    """The bundle beside the best baseline and LightGBM, measure by measure."""
    yield (
        "Each measure of the bundle beside the baseline that is best on it, and beside LightGBM. A difference above 0 "
        "means that the bundle is better. Brackets are 95 % intervals from 1,000 resamples of users, the same for all "
        "models. Where an interval leaves out 0 the difference is clear, and marked: ▲ better, ▼ worse."
    )
    shown = {
        MEASURES[name].title: comparison.against_lightgbm
        for name, comparison in evaluation.comparisons.items()
        if name in WITHIN_ONE and comparison.against_lightgbm and comparison.against_lightgbm.interval
    }
    if shown:
        yield Chart("lightgbm", f"Differences to {LIGHTGBM}", charts.differences(shown, "LightGBM"))
    yield ReportTable("", comparison_table(evaluation))


def comparison_table(evaluation: Evaluation) -> pd.DataFrame:
    """The bundle beside the best baseline, LightGBM and other bundles, one row a measure."""
    comparisons = evaluation.comparisons
    others = list(dict.fromkeys(name for shown in comparisons.values() for name in shown.against_others))
    return as_table(_comparison_row(evaluation, name, shown, others) for name, shown in comparisons.items())


def _comparison_row(evaluation: Evaluation, name: str, shown: Comparison, others: Sequence[str]) -> dict[str, str]:
    best = shown.best_baseline
    row = {
        "measure": _titled(evaluation, name),
        "bundle": figure(shown.figure),
        "best baseline": NONE if best is None else f"{best}: {number(evaluation.models[best][name].value)}",
        "difference to it": difference(shown.against_best),
        "difference to LightGBM": difference(shown.against_lightgbm),
    }
    return row | {f"difference to {other}": difference(shown.against_others.get(other)) for other in others}


def _titled(evaluation: Evaluation, name: str) -> str:
    """The title of a measure and which values are good."""
    aim = aimed(evaluation.coverage)[name].aim
    arrow = "↑" if aim == float("inf") else "↓" if aim == 0 else f"→ {aim:g}"
    return f"{MEASURES[name].title} {arrow}"


def models(evaluation: Evaluation) -> Iterator[Block]:
    """Every measure of every model."""
    yield f"↑ higher is better, ↓ lower is better, → this value is best. {NONE}: the model does not predict it."
    measured = [name for name in MEASURES if any(name in figures for figures in evaluation.models.values())]
    rows = (
        {"measure": _titled(evaluation, name)}
        | {model: number(figures.get(name, Figure(None, None)).value) for model, figures in evaluation.models.items()}
        for name in measured
    )
    yield ReportTable("", as_table(rows))


def segments(evaluation: Evaluation) -> Iterator[Block]:
    """Measures among some of the users."""
    yield (
        "The same measures within groups of users; brackets are 95 % intervals. Users of one group are alike, so it is "
        "harder to rank them than to rank everyone."
    )
    rows = as_table(_segment_row(segment) for segment in evaluation.segments)
    yield ReportTable(f"Mean spend in {evaluation.protocol.currency}", rows)
    if evaluation.small_segments:
        yield f"Too few users for a figure: {'; '.join(evaluation.small_segments)}."


def _segment_row(segment: Segment) -> dict[str, str]:
    row = {
        "group": f"{segment.group}: {segment.name}",
        "users": count(segment.users),
        "mean spend": number(segment.mean_spend),
    }
    for name in IN_SEGMENTS:
        measured = segment.figures.get(name, Figure(None, None))
        row[MEASURES[name].title] = figure(measured) if name in WITH_INTERVAL else number(measured.value)
    return row | {"Spearman, difference to LightGBM": difference(segment.against_lightgbm.get("spearman"))}


def known_truth(evaluation: Evaluation) -> Iterator[Block]:
    """What only a simulated platform can show; nothing where there is no truth."""
    if evaluation.truth is None:
        return
    yield (
        "These users are simulated, so it is known what drives them. First: do the scores order users as the truth "
        "does? The table shows rank correlations; 1 is a perfect order. The bundle stands beside the best baseline."
    )
    yield ReportTable("", recovered_table(evaluation.truth.recovered))
    yield (
        "Second: how well does the truth itself predict what happened? Models must guess the truth from the past, and "
        "chance decides much of the rest. It is a yardstick, not a limit: it leaves out that price elasticity changes "
        "how often a visit ends in a purchase."
    )
    yield ReportTable("", ceiling_table(evaluation.truth.ceilings))
    yield ASSOCIATION


def recovered_table(recovered: Sequence[Recovery]) -> pd.DataFrame:
    """Rank correlations with the truth."""
    return as_table(_recovery_row("rank correlation with the truth", shown, ()) for shown in recovered)


def ceiling_table(ceilings: Sequence[Recovery]) -> pd.DataFrame:
    """Measures of what happened, of the bundle and of the truth itself."""
    return as_table(_recovery_row("order of what happened", shown, (TRUTH,)) for shown in ceilings)


def _recovery_row(label: str, shown: Recovery, others: Sequence[str]) -> dict[str, str]:
    best = shown.best_baseline
    return {
        label: shown.title,
        "bundle": figure(shown.models[BUNDLE]),
        **{name: figure(shown.models[name]) for name in others},
        "best baseline": NONE if best is None else f"{best}: {figure(shown.models[best])}",
        "difference to it": difference(shown.against_best),
    }


def protocol(evaluation: Evaluation) -> Iterator[Block]:
    """Dates, counts and versions."""
    yield tuple(_protocol_points(evaluation.protocol))
    rows = ({"as of": origin, "users": count(rows)} for origin, rows in evaluation.protocol.training_rows.items())
    yield ReportTable("What the baselines learned from: users as of each date, with their labels", as_table(rows))


def _protocol_points(protocol: EvaluationProtocol) -> Iterator[str]:
    yield (
        f"The figures are of {count(protocol.users)} users with a purchase before {protocol.as_of} (the {protocol.cut} "
        f"cut): what they did from {protocol.as_of} until the day before {protocol.closes}."
    )
    yield f"No model has seen what happened on this platform on or after {protocol.as_of}, neither events nor labels."
    yield f"Dates of the training set: {protocol.dates}."
    yield f"The bundle learned from labels as of {', '.join(protocol.bundle_origins)}."
    if protocol.bundle_platforms > 1:
        yield f"It also learned from the labels of {protocol.bundle_platforms - 1} other platforms."
    if not protocol.same_platform:
        yield TRANSFERRED
    if protocol.bundle_horizon_days != protocol.horizon_days:
        yield f"Note that {other_horizon(protocol)}."
    versions = ", ".join(f"{table} {version}" for table, version in sorted(protocol.data_versions.items()))
    yield f"Table versions: {versions}."
    yield "The bundle was read from the model store and scored by the code that scores every night."


def limits(evaluation: Evaluation) -> Iterator[Block]:
    """What the figures cannot tell."""
    on_cut = {
        "test": "The test cut is reported once; choices are never made on it.",
        "validation": "Choices were made on this cut, which makes what was chosen look too good; see the test cut.",
    }
    yield (
        "This is one period of one platform: resampling users shows how figures vary between users, not between years.",
        "The best baseline is the one that is best on these same users, which makes it look slightly too good.",
        on_cut[evaluation.protocol.cut],
        "Where many users spend nothing, a mean says little about a single user: see the median and the interval.",
        "Amounts drift: the order of users stays right for longer.",
        "Product names are those of today, even where a model reads purchases of the past.",
        ASSOCIATION,
    )


def missing(evaluation: Evaluation) -> Iterator[Block]:
    """Baselines and measures without figures, and why."""
    points = [f"Baseline {name}: {reason}." for name, reason in evaluation.missing.items()]
    points += [f"{measure}: {reason}." for measure, reason in evaluation.undefined.items()]
    yield tuple(points) or "Nothing: every baseline could be fitted and every measure is defined."
