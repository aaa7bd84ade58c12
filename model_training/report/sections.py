"""The sections of the report in their order, and those for planning budgets and campaigns.

The sections for checking the figures are in ``evidence``.
"""

from collections.abc import Callable, Iterator, Sequence

from model_training.baselines import LIGHTGBM
from model_training.evaluation.curves import ACTUAL
from model_training.evaluation.judge import BUNDLE
from model_training.evaluation.measures import MEASURES, PRICE
from model_training.evaluation.results import Bin, Evaluation, TierRow
from model_training.report import charts, evidence
from model_training.report.blocks import Block, Chart, ReportTable, as_table
from model_training.report.evidence import ASSOCIATION
from model_training.report.formatting import NONE, count, figure, number, percent

SHARES_SHOWN = {"10 %": 2, "20 %": 4, "30 %": 6, "50 %": 10}
"""Shares of users in the gains table, and their places in the curves."""

RECENT_SPEND = "spend of the last days"
RIVALS_SHOWN = (LIGHTGBM, RECENT_SPEND)
"""Baselines that the gains are compared with."""

TOLERATED_RATIO = (0.8, 1.25)
"""Predicted / actual total that a budget can be planned with."""

EVIDENCE = "Compared with the baselines"
"""Title of the first section for who checks the figures."""


def sections(evaluation: Evaluation) -> dict[str, tuple[Block, ...]]:
    """Blocks by heading, in reading order; a section with nothing to say is left out."""
    writers: dict[str, Callable[[Evaluation], Iterator[Block]]] = {
        "In short": _in_short,
        "Who brings the money": _gains,
        "Predicted and actual spend": _deciles,
        "Value tiers": _tiers,
        "Who leaves": _leaving,
        "Price sensitivity (an association)": _price_sensitivity,
        EVIDENCE: evidence.baselines,
        "All models": evidence.models,
        "Groups of users": evidence.segments,
        "Compared with the simulator's truth": evidence.known_truth,
        "How this was measured": evidence.protocol,
        "What these figures cannot tell": evidence.limits,
        "What is missing": evidence.missing,
    }
    written = {heading: tuple(filter(_has_content, write(evaluation))) for heading, write in writers.items()}
    return {heading: blocks for heading, blocks in written.items() if blocks}


def _has_content(block: Block) -> bool:
    return not (isinstance(block, ReportTable) and block.cells.empty)


def title(evaluation: Evaluation) -> str:
    """The title of the page."""
    return f"How good are the user value predictions of {evaluation.protocol.as_of}?"


def subtitle(evaluation: Evaluation) -> str:
    """Which bundle was evaluated, and which sections are for whom."""
    return (
        f"Bundle {evaluation.bundle}, {evaluation.protocol.cut} cut, evaluated {evaluation.made_at[:10]}. The first "
        f"sections are for planning budgets and campaigns; those from “{EVIDENCE}” on are for checking the figures."
    )


def _in_short(evaluation: Evaluation) -> Iterator[Block]:
    protocol = evaluation.protocol
    yield (
        f"On {protocol.as_of}, {count(protocol.users)} users were scored for the {protocol.horizon_days} days that "
        f"followed. {percent(protocol.spenders_share)} of them spent something in that time, "
        f"{number(protocol.spend)} {protocol.currency} in all."
    )
    if protocol.bundle_horizon_days != protocol.horizon_days:
        yield f"Note that {evidence.other_horizon(protocol)}."
    yield (*_findings(evaluation), *_verdicts(evaluation))


def _findings(evaluation: Evaluation) -> Iterator[str]:
    gains = evaluation.curves.gains
    if BUNDLE in gains:
        fifth = SHARES_SHOWN["20 %"]
        others = [f"{percent(gains[name][fifth])} if chosen by {name}" for name in RIVALS_SHOWN if name in gains]
        beside = f" ({'; '.join(others)})" if others else ""
        brought = percent(gains[BUNDLE][fifth])
        yield f"The 20 % of users with the highest predictions brought {brought} of all spend{beside}."
    if total := evaluation.comparisons.get("total_ratio"):
        ratio = total.figure.value
        yield f"Predicted total spend is {number(ratio)} times the actual total{_advice(ratio)}."
    if coverage := evaluation.comparisons.get("coverage"):
        held = percent(coverage.figure.value or 0)
        aim = "" if evaluation.coverage is None else f"; the intervals were made to hold {percent(evaluation.coverage)}"
        yield f"For {held} of users, actual spend was within the predicted interval{aim}."
    if churn := evaluation.comparisons.get("churn_auc"):
        yield (
            "Take a user who left and one who stayed: the one who left had the higher predicted probability of leaving "
            f"in {percent(churn.figure.value or 0)} of such pairs."
        )


def _advice(ratio: float | None) -> str:
    lowest, highest = TOLERATED_RATIO
    if ratio is not None and lowest <= ratio <= highest:
        return ""
    return ": until the bundle is calibrated again, rely on the order of users, not on the amounts"


def _verdicts(evaluation: Evaluation) -> Iterator[str]:
    """Which measures are better or worse than LightGBM's, beyond chance."""
    by_verdict: dict[str, list[str]] = {"better": [], "worse": [], "equal": []}
    for name, comparison in evaluation.comparisons.items():
        if comparison.against_lightgbm is not None:
            by_verdict[comparison.against_lightgbm.verdict].append(MEASURES[name].title)
    if not any(by_verdict.values()):
        yield "There is no comparison with LightGBM; the last section says why."
        return
    for verdict in ("better", "worse"):
        yield f"Measures clearly {verdict} than those of {LIGHTGBM}: {'; '.join(by_verdict[verdict]) or 'none'}."
    yield f"Other measures, whose difference to it chance could explain: {len(by_verdict['equal'])}."


def _gains(evaluation: Evaluation) -> Iterator[Block]:
    gains = evaluation.curves.gains
    if BUNDLE not in gains:
        yield "The bundle does not predict value."
        return
    yield "Rank users by predicted value and go down the list: what share of all spend comes from the users so far?"
    shown = {name: gains[name] for name in (BUNDLE, *RIVALS_SHOWN) if name in gains}
    yield Chart(
        "gains",
        "Gains curve: share of all spend against share of users, highest prediction first",
        charts.gains(shown, gains[ACTUAL]),
    )
    rows = (
        {"ranked by": name} | {share: percent(curve[place]) for share, place in SHARES_SHOWN.items()}
        for name, curve in gains.items()
    )
    yield ReportTable("Share of all spend that the first users bring", as_table(rows))


def _deciles(evaluation: Evaluation) -> Iterator[Block]:
    bins, currency = evaluation.curves.deciles, evaluation.protocol.currency
    if not bins:
        yield "The bundle does not predict value."
        return
    yield "Users in ten groups of equal size, by predicted value. Where the two bars differ, the amounts are off."
    yield Chart("deciles", "Mean predicted and actual spend by tenth of users", charts.deciles(bins, currency))
    rows = [
        row | {"predicted / actual": number(tenth.predicted / tenth.actual) if tenth.actual else NONE}
        for row, tenth in zip(_tenths(bins, number), bins, strict=True)
    ]
    yield ReportTable(f"Mean spend in {currency}", as_table(rows))


def _tenths(bins: Sequence[Bin], write: Callable[[float], str]) -> list[dict[str, str]]:
    return [
        {
            "tenth": str(place),
            "users": count(tenth.users),
            "predicted": write(tenth.predicted),
            "actual": write(tenth.actual),
        }
        for place, tenth in enumerate(bins, start=1)
    ]


def _tiers(evaluation: Evaluation) -> Iterator[Block]:
    curves, currency = evaluation.curves, evaluation.protocol.currency
    if not curves.tier_table:
        yield "The bundle does not predict tiers."
        return
    yield (
        "Each user counts in the tier with the highest probability. The nightly job also applies costs, quotas and "
        "hysteresis; they are left out here."
    )
    total = evaluation.protocol.spend or 1.0
    yield ReportTable(
        f"Users by predicted tier, amounts in {currency}",
        as_table(_tier_row(tier, total) for tier in curves.tier_table),
    )
    names = [tier.name for tier in curves.tier_table]
    yield ReportTable(
        "Tier that users ended in (down) and predicted tier (across)",
        as_table(
            {"ended in": name}
            | {f"predicted {tier}": _part(cell, sum(row)) for tier, cell in zip(names, row, strict=True)}
            for name, row in zip(names, curves.confusion, strict=True)
        ),
    )
    chart = charts.calibration(curves.tiers, "share of users in tier")
    yield Chart("tiers", "Predicted probability of a tier against the share of users who ended in it", chart)


def _tier_row(tier: TierRow, total: float) -> dict[str, str]:
    return {
        "tier": tier.name,
        "users": count(tier.predicted_users),
        "predicted spend": number(tier.predicted_spend),
        "actual spend": number(tier.actual_spend),
        "share of all spend": percent(tier.actual_spend / total),
        "spend per user": number(tier.actual_spend / max(tier.predicted_users, 1)),
        "left": percent(tier.left),
        "users who ended in it": count(tier.actual_users),
    }


def _part(cell: int, total: int) -> str:
    return f"{count(cell)} ({percent(cell / max(total, 1))})"


def _leaving(evaluation: Evaluation) -> Iterator[Block]:
    bins = evaluation.curves.heads.get("churn")
    if not bins:
        yield "The bundle does not predict who leaves."
        return
    yield (
        "A user who buys nothing within the window has left. Users are in ten groups of equal size, by predicted "
        "probability of leaving; the table shows what share of each group really left."
    )
    yield from _shares("churn", "probability of leaving", bins)


def _price_sensitivity(evaluation: Evaluation) -> Iterator[Block]:
    yield ASSOCIATION
    bins = evaluation.curves.heads.get("price_sensitivity")
    if not bins:
        yield "There are no figures: the bundle does not predict it, or no purchase has a usual price to compare with."
        return
    yield from _shares("price", "share bought below usual price", bins)
    rows = (
        {"model": model} | {MEASURES[name].title: figure(figures[name]) for name in PRICE}
        for model, figures in evaluation.models.items()
        if PRICE[0] in figures
    )
    yield ReportTable("Compared with other models and with the share in the user's own past", as_table(rows))


def _shares(name: str, what: str, bins: Sequence[Bin]) -> Iterator[Block]:
    """Predicted against actual shares, as a chart and by tenth of users."""
    chart = charts.calibration({what: bins}, "share")
    yield Chart(name, f"Predicted and actual {what}", chart)
    yield ReportTable("Mean by tenth of users", as_table(_tenths(bins, percent)))
