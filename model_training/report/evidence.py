"""The part of the report for who checks the figures: baselines, all models, segments, protocol, limits."""

from collections.abc import Iterator

from model_training.evaluation.judge import BUNDLE, IN_SEGMENTS
from model_training.evaluation.measures import MEASURES, aimed
from model_training.evaluation.results import Comparison, Difference, Evaluation, Figure, Protocol, Recovery, Segment
from model_training.evaluation.truth import TRUTH
from model_training.report import charts
from model_training.report.page import Block, Cell, Chart, Row, Table
from model_training.report.words import difference, figure, number

WITHIN_ONE = (
    "spearman", "spearman_spenders", "gini", "top20_auc", "top20_recall", "churn_auc", "churn_precision", "tier_f1",
)  # fmt: skip
"""Measures on one scale, whose differences one chart can hold."""

BRACKETED = ("spearman", "churn_auc")
"""Measures whose intervals the table of segments has room for."""

TRANSFERRED = "Transferred: the bundle was trained on other platforms alone and has seen no label of this one."


def other_horizon(protocol: Protocol) -> str:
    """What cannot be said of a bundle whose window is not that of the labels."""
    return (
        f"the bundle predicts {protocol.bundle_horizon_days} days, not {protocol.horizon_days}: its order of users can "
        "be judged, its amounts, tiers and probabilities cannot"
    )


ASSOCIATION = (
    "Price sensitivity is the share of a user's spend that is bought 5 % or more below the product's usual price. It "
    "is an association with past behaviour: it says who tends to buy cheap, not what a discount would change."
)


def baselines(evaluation: Evaluation) -> Iterator[Block]:
    """The bundle beside the best baseline and LightGBM, measure by measure."""
    yield (
        "Each measure of the bundle beside the best baseline for it and beside LightGBM. Differences are positive "
        "where the bundle is better. Brackets hold 95 % of 1,000 resamples of users, the same for all models; a "
        "difference is sure, and coloured, where its bracket leaves out 0."
    )
    against = {name: each.against_lightgbm for name, each in evaluation.comparisons.items() if name in WITHIN_ONE}
    sure = {name: (each.value, each.interval) for name, each in against.items() if each and each.interval}
    if sure:
        names = [MEASURES[name].title for name in sure]
        values, intervals = [value for value, _ in sure.values()], [each for _, each in sure.values() if each]
        yield Chart("lightgbm", "Differences to LightGBM", charts.differences(names, values, intervals))
    header = ("measure", "bundle", "best baseline", "difference to it", "difference to LightGBM")
    rows = tuple(_comparison_row(evaluation, name, each) for name, each in evaluation.comparisons.items())
    yield Table("", header, rows)


def _comparison_row(evaluation: Evaluation, name: str, each: Comparison) -> Row:
    best = each.best_baseline
    shown = "–" if best is None else f"{best}: {number(evaluation.models[best][name].value)}"
    return (
        f"{MEASURES[name].title} {_arrow(evaluation, name)}", figure(each.figure), shown,
        _difference_cell(each.against_best), _difference_cell(each.against_lightgbm),
    )  # fmt: skip


def _difference_cell(each: Difference | None) -> Cell:
    mark = "" if each is None or each.verdict == "equal" else each.verdict
    return Cell(difference(each), mark)


def _arrow(evaluation: Evaluation, name: str) -> str:
    aim = aimed(evaluation.coverage)[name].aim
    return "↑" if aim == float("inf") else "↓" if aim == 0 else f"→ {aim:g}"


def models(evaluation: Evaluation) -> Iterator[Block]:
    """Every measure of every model."""
    yield "↑ greater is better, ↓ less is better, → this value is best. A dash: the model does not predict it."
    models = list(evaluation.models)
    rows = tuple(
        (f"{each.title} {_arrow(evaluation, name)}", *(_model_cell(evaluation, model, name) for model in models))
        for name, each in MEASURES.items()
        if any(name in of for of in evaluation.models.values())
    )
    yield Table("", ("measure", *models), rows)


def _model_cell(evaluation: Evaluation, model: str, name: str) -> str:
    found = evaluation.models[model].get(name)
    return "–" if found is None else number(found.value)


def segments(evaluation: Evaluation) -> Iterator[Block]:
    """Measures among some of the users."""
    yield (
        "The same measures among some of the users; brackets hold 95 % of resamples. Users within a segment are alike, "
        "which makes ranking them harder than ranking everyone."
    )
    header = ("segment", "users", "mean spend", *(MEASURES[name].title for name in IN_SEGMENTS), "Spearman to LightGBM")
    rows = tuple(_segment_row(each) for each in evaluation.segments)
    yield Table(f"Mean spend in {evaluation.protocol.currency}", header, rows)
    if evaluation.small_segments:
        yield f"Too few users to say anything: {'; '.join(evaluation.small_segments)}."


def _segment_row(each: Segment) -> Row:
    found = {name: each.figures.get(name, Figure(None, None)) for name in IN_SEGMENTS}
    shown = (figure(of) if name in BRACKETED else number(of.value) for name, of in found.items())
    against = _difference_cell(each.against_lightgbm.get("spearman"))
    return f"{each.group}: {each.name}", f"{each.users:,}", number(each.mean_spend), *shown, against


def known_truth(evaluation: Evaluation) -> Iterator[Block]:
    """What a simulated platform alone can show; nothing where there is no truth."""
    if evaluation.truth is None:
        return
    yield (
        "These users are simulated, so what drives them is known. First: how far are the scores in the order of the "
        "truth? Rank correlations; 1 would be a perfect order. The bundle stands beside the best baseline."
    )
    yield _recoveries(evaluation.truth.recovered, ())
    yield (
        "Second: how well does the truth itself predict what happened? Models have to guess it from the past, and "
        "chance decides much of the rest. It is a yardstick, not a limit: it leaves out that elasticity changes how "
        "often a look ends in a purchase."
    )
    yield _recoveries(evaluation.truth.ceilings, (TRUTH,))
    yield ASSOCIATION


def _recoveries(found: list[Recovery], more: tuple[str, ...]) -> Table:
    header = ("", "bundle", *more, "best baseline", "difference to it")
    return Table("", header, tuple(_recovery_row(each, more) for each in found))


def _recovery_row(each: Recovery, more: tuple[str, ...]) -> Row:
    best = each.best_baseline
    shown = "–" if best is None else f"{best}: {figure(each.models[best])}"
    others = (figure(each.models[name]) for name in more)
    return each.title, figure(each.models[BUNDLE]), *others, shown, _difference_cell(each.against_best)


def protocol(evaluation: Evaluation) -> Iterator[Block]:
    """Dates, counts and versions."""
    yield tuple(_protocol_points(evaluation))
    rows = tuple((origin, f"{count:,}") for origin, count in evaluation.protocol.training_rows.items())
    yield Table("What baselines learned from: users as of each date, with their labels", ("as of", "users"), rows)


def _protocol_points(evaluation: Evaluation) -> Iterator[str]:
    protocol = evaluation.protocol
    yield (
        f"Judged on {protocol.users:,} users with a purchase before {protocol.as_of} (the {protocol.cut} cut), by what "
        f"they did from {protocol.as_of} until before {protocol.closes}."
    )
    yield f"Nothing that happened on or after {protocol.as_of} was seen by any model, be it an event or a label."
    yield f"The bundle learned from labels as of {', '.join(protocol.bundle_origins)}."
    if protocol.bundle_platforms > 1:
        yield f"Beside these it learned from the labels of {protocol.bundle_platforms - 1} other platforms."
    if not protocol.same_platform:
        yield TRANSFERRED
    if protocol.bundle_horizon_days != protocol.horizon_days:
        yield f"Note that {other_horizon(protocol)}."
    versions = ", ".join(f"{table} {version}" for table, version in sorted(protocol.data_versions.items()))
    yield f"Table versions: {versions}."
    yield "The bundle was read from the model store and scored through the predictor that serves."


def limits(evaluation: Evaluation) -> Iterator[Block]:
    """What the figures cannot say."""
    test = evaluation.protocol.cut == "test"
    yield (
        "One period of one platform: resampling users shows how figures vary between users, not between years.",
        "The best baseline is picked by its figure on these same users, which flatters it a little.",
        "The test cut is reported once and never chosen on."
        if test
        else "Choices were made on this cut, so its figures flatter what was chosen; the test cut shows what is left.",
        "Mean predictions are poor for a single user where many spend nothing: look at the median and the interval.",
        "Levels drift: the order of users lasts longer than the amounts.",
        "Product names are read as they are today, also in histories of the past.",
        ASSOCIATION,
    )


def missing(evaluation: Evaluation) -> Iterator[Block]:
    """Baselines and measures without figures, and why."""
    points = [f"Baseline {name}: {reason}." for name, reason in evaluation.missing.items()]
    points += [f"{measure}: {reason}." for measure, reason in evaluation.undefined.items()]
    yield tuple(points) if points else "Nothing: every baseline could be fitted and every measure is defined."
