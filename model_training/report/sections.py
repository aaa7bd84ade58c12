"""What the report says: an evaluation in the words of who spends the budget, and of who checks the figures."""

from collections.abc import Iterator

from model_training.baselines import LIGHTGBM
from model_training.evaluation.curves import ACTUAL
from model_training.evaluation.judge import BUNDLE
from model_training.evaluation.measures import MEASURES, PRICE
from model_training.evaluation.results import Bin, Evaluation
from model_training.report import charts, evidence
from model_training.report.evidence import ASSOCIATION
from model_training.report.page import Block, Chart, Row, Section, Table
from model_training.report.words import figure, number, percent

SHARES_SHOWN = {"10 %": 2, "20 %": 4, "30 %": 6, "50 %": 10}
"""Shares of users in the gains table, and their place in the curves."""

FAIR_LEVEL = (0.8, 1.25)
"""Predicted / actual total that budgets can live with."""


def sections(evaluation: Evaluation) -> list[Section]:
    """All sections that have something to say, in reading order."""
    made = {
        "In short": _in_short, "Who brings the money": _gains, "Predicted and actual spend": _deciles,
        "Value tiers": _tiers, "Who leaves": _leaving, "Price sensitivity (an association)": _price_sensitivity,
        "Against the baselines": evidence.baselines, "All models": evidence.models, "Segments": evidence.segments,
        "Known truth": evidence.known_truth, "Protocol": evidence.protocol, "Limits": evidence.limits,
        "What is missing": evidence.missing,
    }  # fmt: skip
    found = {title: tuple(blocks(evaluation)) for title, blocks in made.items()}
    return [Section(title, blocks) for title, blocks in found.items() if blocks]


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
    if protocol.bundle_horizon_days != protocol.horizon_days:
        yield f"Note that {evidence.other_horizon(protocol)}."
    yield tuple(_findings(evaluation))


def _findings(evaluation: Evaluation) -> Iterator[str]:
    gains = evaluation.curves.gains
    if BUNDLE in gains:
        others = {name: each[4] for name, each in gains.items() if name in (LIGHTGBM, "spend of the last days")}
        beside = "; ".join(f"chosen by {name}: {percent(each)}" for name, each in others.items())
        yield f"The fifth of users ranked highest brought {percent(gains[BUNDLE][4])} of all spend ({beside})."
    if ratio := evaluation.comparisons.get("total_ratio"):
        yield f"The predicted total is {number(ratio.figure.value)} times the actual one{_level(ratio.figure.value)}."
    if coverage := evaluation.comparisons.get("coverage"):
        wanted = f", which was to hold {percent(evaluation.coverage or 0)}"
        yield f"{percent(coverage.figure.value or 0)} of users spent an amount within their predicted interval{wanted}."
    if churn := evaluation.comparisons.get("churn_auc"):
        yield (
            f"Of a user who left and one who stayed, the one who left had the higher predicted probability in "
            f"{percent(churn.figure.value or 0)} of cases."
        )
    yield from _verdicts(evaluation)


def _level(ratio: float | None) -> str:
    fair = ratio is not None and FAIR_LEVEL[0] <= ratio <= FAIR_LEVEL[1]
    return "" if fair else ": use the order of users, not the amounts, until the bundle is calibrated anew"


def _verdicts(evaluation: Evaluation) -> Iterator[str]:
    by_verdict: dict[str, list[str]] = {"better": [], "worse": [], "equal": []}
    for name, each in evaluation.comparisons.items():
        if each.against_lightgbm is not None:
            by_verdict[each.against_lightgbm.verdict].append(MEASURES[name].title)
    if not any(by_verdict.values()):
        yield "There is no comparison with LightGBM; see what is missing."
        return
    yield (
        f"Against LightGBM on the same numbers: surely better on: {_listed(by_verdict['better'])}. "
        f"Surely worse on: {_listed(by_verdict['worse'])}. "
        f"On {len(by_verdict['equal'])} other measures the data do not tell them apart."
    )


def _listed(names: list[str]) -> str:
    return "; ".join(names) if names else "nothing"


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
    rows = tuple(
        (model, *(figure(of[name]) for name in PRICE)) for model, of in evaluation.models.items() if PRICE[0] in of
    )
    yield Table("Beside the share of the user's own past", ("", *(MEASURES[name].title for name in PRICE)), rows)
