"""What the report says: an evaluation in the words of who spends the budget, and of who checks the figures."""

from collections.abc import Iterator

from model_training.baselines import LIGHTGBM
from model_training.quality import charts
from model_training.quality.curves import ACTUAL
from model_training.quality.judge import BUNDLE, IN_SEGMENTS
from model_training.quality.measures import MEASURES
from model_training.quality.page import Block, Cell, Chart, Row, Section, Table
from model_training.quality.results import Bin, Comparison, Difference, Evaluation, Segment
from model_training.quality.words import difference, figure, number, percent

SHARES_SHOWN = {"10 %": 2, "20 %": 4, "30 %": 6, "50 %": 10}
"""Shares of users in the gains table, and their place in the curves."""

WITHIN_ONE = (
    "spearman", "spearman_spenders", "gini", "top20_auc", "top20_recall", "churn_auc", "churn_precision", "tier_f1",
)  # fmt: skip
"""Measures on one scale, whose differences one chart can hold."""

ASSOCIATION = (
    "Price sensitivity is the share of a user's spend that is bought 5 % or more below the product's usual price. It "
    "is an association with past behaviour: it says who tends to buy cheap, not what a discount would change."
)


def sections(evaluation: Evaluation) -> list[Section]:
    """All sections, in reading order."""
    made = {
        "In short": _in_short, "Who brings the money": _gains, "Predicted and actual spend": _deciles,
        "Value tiers": _tiers, "Who leaves": _leaving, "Price sensitivity (an association)": _price_sensitivity,
        "Against the baselines": _baselines, "All models": _models, "Segments": _segments, "Protocol": _protocol,
        "Limits": _limits, "What is missing": _missing,
    }  # fmt: skip
    return [Section(title, tuple(blocks(evaluation))) for title, blocks in made.items()]


def title(evaluation: Evaluation) -> tuple[str, str]:
    """Title and subtitle of the page."""
    protocol = evaluation.protocol
    return (
        f"How good are the user value predictions of {protocol.as_of}?",
        f"Bundle {evaluation.bundle}, {protocol.cut} cut, evaluated {evaluation.made_at[:10]}.",
    )


def _in_short(evaluation: Evaluation) -> Iterator[Block]:
    protocol = evaluation.protocol
    yield (
        f"As of {protocol.as_of}, {protocol.users:,} users were scored for the {protocol.horizon_days} days that "
        f"followed. {percent(protocol.spenders_share)} of them spent something, together "
        f"{number(protocol.spend)} {protocol.currency}."
    )
    yield tuple(_findings(evaluation))


def _findings(evaluation: Evaluation) -> Iterator[str]:
    gains = evaluation.curves.gains
    if BUNDLE in gains:
        others = {name: each[4] for name, each in gains.items() if name in (LIGHTGBM, "spend of the last days")}
        beside = "; ".join(f"chosen by {name}: {percent(each)}" for name, each in others.items())
        yield f"The fifth of users ranked highest brought {percent(gains[BUNDLE][4])} of all spend ({beside})."
    if ratio := evaluation.comparisons.get("total_ratio"):
        yield f"The predicted total is {number(ratio.figure.value)} times the actual one."
    if coverage := evaluation.comparisons.get("coverage"):
        yield f"{percent(coverage.figure.value or 0)} of users spent an amount within their predicted interval."
    if churn := evaluation.comparisons.get("churn_auc"):
        yield (
            f"Of a user who left and one who stayed, the one who left had the higher predicted probability in "
            f"{percent(churn.figure.value or 0)} of cases."
        )
    yield from _verdicts(evaluation)


def _verdicts(evaluation: Evaluation) -> Iterator[str]:
    by_verdict: dict[str, list[str]] = {"better": [], "worse": [], "equal": []}
    for name, each in evaluation.comparisons.items():
        if each.against_lightgbm is not None:
            by_verdict[each.against_lightgbm.verdict].append(MEASURES[name].title)
    if not any(by_verdict.values()):
        yield "There is no comparison with LightGBM; see what is missing."
        return
    yield (
        f"Against LightGBM on the same numbers: surely better on {_listed(by_verdict['better'])}; surely worse on "
        f"{_listed(by_verdict['worse'])}; on {len(by_verdict['equal'])} other measures the data do not tell them apart."
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "nothing"


def _gains(evaluation: Evaluation) -> Iterator[Block]:
    gains = evaluation.curves.gains
    if BUNDLE not in gains:
        yield "The bundle predicts no value."
        return
    yield "Rank users by predicted value and go down the list: how much of all spend has been met by then?"
    shown = [BUNDLE, *(name for name in (LIGHTGBM, "spend of the last days") if name in gains)]
    yield Chart(
        "gains",
        "Gains curve: share of all spend against the share of users, highest prediction first",
        charts.gains({name: gains[name] for name in shown}, gains[ACTUAL]),
    )
    rows = [(name, *(percent(each[place]) for place in SHARES_SHOWN.values())) for name, each in gains.items()]
    yield Table("Share of all spend among the first users", ("ranked by", *SHARES_SHOWN), tuple(rows))


def _deciles(evaluation: Evaluation) -> Iterator[Block]:
    bins, currency = evaluation.curves.deciles, evaluation.protocol.currency
    if not bins:
        yield "The bundle predicts no value."
        return
    yield "Users in tenths by predicted value. Where the two bars of a tenth differ, its level is off."
    yield Chart("deciles", "Mean predicted and actual spend by tenth of users", charts.deciles(bins, currency))
    yield Table(
        f"Mean spend in {currency}",
        ("tenth", "users", "predicted", "actual", "predicted / actual"),
        tuple(_decile_row(place + 1, each) for place, each in enumerate(bins)),
    )


def _decile_row(place: int, each: Bin) -> Row:
    ratio = number(each.predicted / each.actual) if each.actual else "–"
    return str(place), f"{each.users:,}", number(each.predicted), number(each.actual), ratio


def _tiers(evaluation: Evaluation) -> Iterator[Block]:
    curves, currency = evaluation.curves, evaluation.protocol.currency
    if not curves.tier_table:
        yield "The bundle predicts no tiers."
        return
    total = evaluation.protocol.spend or 1.0
    yield "A user's tier here is the likeliest one; costs, quotas and hysteresis of the nightly job are not applied."
    yield Table(
        f"Users by predicted tier, amounts in {currency}",
        ("tier", "users", "spend predicted", "spend actual", "share of spend", "spend a user", "left", "ended in it"),
        tuple(
            (
                each.name, f"{each.predicted_users:,}", number(each.predicted_spend), number(each.actual_spend),
                percent(each.actual_spend / total), number(each.actual_spend / max(each.predicted_users, 1)),
                percent(each.left), f"{each.actual_users:,}",
            )
            for each in curves.tier_table
        ),
    )  # fmt: skip
    names = [each.name for each in curves.tier_table]
    rows = tuple(
        (f"ended in {name}", *(f"{cell:,} ({percent(cell / max(sum(row), 1))})" for cell in row))
        for name, row in zip(names, curves.confusion, strict=True)
    )
    yield Table("Where users ended, by predicted tier", ("", *(f"predicted {name}" for name in names)), rows)
    yield Chart(
        "tiers", "Calibration of tier probabilities", charts.calibration(dict(curves.tiers), "share of users in tier")
    )


def _leaving(evaluation: Evaluation) -> Iterator[Block]:
    bins = evaluation.curves.churn
    if not bins:
        yield "The bundle predicts no leaving."
        return
    yield "Users in tenths by predicted probability of not buying again within the window, and how many did not."
    yield Chart("churn", "Calibration of the probability of leaving", charts.calibration({"leaving": bins}, "share"))
    yield _calibration_table(bins)


def _calibration_table(bins: list[Bin]) -> Table:
    rows = (
        (str(place + 1), f"{each.users:,}", percent(each.predicted), percent(each.actual))
        for place, each in enumerate(bins)
    )
    return Table("", ("tenth", "users", "predicted", "actual"), tuple(rows))


def _price_sensitivity(evaluation: Evaluation) -> Iterator[Block]:
    yield ASSOCIATION
    bins = evaluation.curves.price_sensitivity
    if not bins:
        yield "There are no figures: the bundle predicts none, or no purchase could be compared with a usual price."
        return
    yield Chart(
        "price", "Calibration of price sensitivity", charts.calibration({"share below usual price": bins}, "share")
    )
    yield _calibration_table(bins)


def _baselines(evaluation: Evaluation) -> Iterator[Block]:
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
    header = ("measure", "bundle", "best baseline", "its figure", "difference", "difference to LightGBM")
    rows = tuple(_comparison_row(evaluation, name, each) for name, each in evaluation.comparisons.items())
    yield Table("", header, rows)


def _comparison_row(evaluation: Evaluation, name: str, each: Comparison) -> Row:
    best = each.best_baseline
    its = "–" if best is None else number(evaluation.models[best][name].value)
    return (
        f"{MEASURES[name].title} {_arrow(name)}", figure(each.figure), best or "–", its,
        _difference_cell(each.against_best), _difference_cell(each.against_lightgbm),
    )  # fmt: skip


def _difference_cell(each: Difference | None) -> Cell:
    mark = "" if each is None or each.verdict == "equal" else each.verdict
    return Cell(difference(each), mark)


def _arrow(name: str) -> str:
    aim = MEASURES[name].aim
    return "↑" if aim == float("inf") else "↓" if aim == 0 else f"→ {aim:g}"


def _models(evaluation: Evaluation) -> Iterator[Block]:
    yield "↑ greater is better, ↓ less is better, → this value is best. A dash: the model does not predict it."
    models = list(evaluation.models)
    rows = tuple(
        (f"{each.title} {_arrow(name)}", *(_model_cell(evaluation, model, name) for model in models))
        for name, each in MEASURES.items()
        if any(name in of for of in evaluation.models.values())
    )
    yield Table("", ("measure", *models), rows)


def _model_cell(evaluation: Evaluation, model: str, name: str) -> str:
    found = evaluation.models[model].get(name)
    return "–" if found is None else number(found.value)


def _segments(evaluation: Evaluation) -> Iterator[Block]:
    yield (
        "The same measures among some of the users, with 95 % intervals. Users within a segment are alike, which makes "
        "ranking them harder than ranking everyone."
    )
    header = ("segment", "users", "mean spend", *(MEASURES[name].title for name in IN_SEGMENTS), "Spearman to LightGBM")
    rows = tuple(_segment_row(each) for each in evaluation.segments)
    yield Table(f"Mean spend in {evaluation.protocol.currency}", header, rows)
    if evaluation.small_segments:
        yield f"Too few users to say anything: {'; '.join(evaluation.small_segments)}."


def _segment_row(each: Segment) -> Row:
    figures = (figure(each.figures[name]) if name in each.figures else "–" for name in IN_SEGMENTS)
    against = _difference_cell(each.against_lightgbm.get("spearman"))
    return f"{each.group}: {each.name}", f"{each.users:,}", number(each.mean_spend), *figures, against


def _protocol(evaluation: Evaluation) -> Iterator[Block]:
    protocol = evaluation.protocol
    yield tuple(protocol_points(evaluation))
    rows = tuple((origin, f"{count:,}") for origin, count in protocol.training_rows.items())
    yield Table("What baselines learned from: users as of each date, with their labels", ("as of", "users"), rows)


def protocol_points(evaluation: Evaluation) -> Iterator[str]:
    """The protocol in sentences."""
    protocol = evaluation.protocol
    yield (
        f"Judged on {protocol.users:,} users with a purchase before {protocol.as_of} (the {protocol.cut} cut), by what "
        f"they did from {protocol.as_of} until before {protocol.closes}."
    )
    yield f"Nothing that happened on or after {protocol.as_of} was seen by any model, be it an event or a label."
    yield f"The bundle learned from labels as of {', '.join(protocol.bundle_origins)}."
    if not protocol.same_platform:
        yield "The bundle was trained on another platform: it has seen no label of this one."
    if protocol.bundle_horizon_days != protocol.horizon_days:
        yield (
            f"The bundle predicts {protocol.bundle_horizon_days} days, not {protocol.horizon_days}: its order of users "
            "can be judged, its amounts and probabilities cannot."
        )
    versions = ", ".join(f"{table} {version}" for table, version in sorted(protocol.data_versions.items()))
    yield f"Table versions: {versions}."
    yield "The bundle was read from the model store and scored through the predictor that serves."


def _limits(evaluation: Evaluation) -> Iterator[Block]:
    test = evaluation.protocol.cut == "test"
    yield (
        "One period of one platform: resampling users shows how figures vary between users, not between years.",
        "The best baseline is picked by its figure on these same users, which flatters it a little.",
        "The test cut is reported once and never chosen on."
        if test
        else "Choices were made on this cut, so its figures flatter what was chosen; the test cut shows what is left.",
        "Mean predictions are poor for a single user where many spend nothing: look at the median and the interval.",
        "Levels drift: the order of users lasts longer than the amounts.",
        ASSOCIATION,
    )


def _missing(evaluation: Evaluation) -> Iterator[Block]:
    points = [f"Baseline {name}: {reason}." for name, reason in evaluation.missing.items()]
    points += [f"{measure}: {reason}." for measure, reason in evaluation.undefined.items()]
    yield tuple(points) if points else "Nothing: every baseline could be fitted and every measure is defined."
