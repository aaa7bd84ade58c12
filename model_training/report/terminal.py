"""What an evaluation prints."""

from collections.abc import Sequence

from model_training.evaluation.judge import BUNDLE
from model_training.evaluation.measures import MEASURES, PRICE
from model_training.evaluation.results import Evaluation, KnownTruth, Protocol, Recovery
from model_training.evaluation.truth import TRUTH
from model_training.report.evidence import ASSOCIATION, TRANSFERRED, other_horizon
from model_training.report.words import difference, figure, number, percent


def protocol_lines(protocol: Protocol) -> list[str]:
    """Dates and counts, before anything is fitted."""
    return [
        f"{protocol.cut} cut {protocol.as_of}: {protocol.users:,} users, window to {protocol.closes} "
        f"({protocol.horizon_days} days), {percent(protocol.spenders_share)} spend, "
        f"{number(protocol.spend)} {protocol.currency} in all",
        *(f"  learned from {origin}: {rows:,} users" for origin, rows in protocol.training_rows.items()),
        *([] if protocol.same_platform else [TRANSFERRED]),
        *([] if protocol.bundle_horizon_days == protocol.horizon_days else [f"Note that {other_horizon(protocol)}."]),
    ]


def lines(evaluation: Evaluation) -> list[str]:
    """The bundle beside the best baseline, LightGBM and other bundles, and what is missing."""
    others = list(dict.fromkeys(name for each in evaluation.comparisons.values() for name in each.against_others))
    header = (
        "measure", "bundle", "best baseline", "difference", "difference to LightGBM",
        *(f"difference to {name}" for name in others),
    )  # fmt: skip
    rows = [
        (
            MEASURES[name].title, figure(each.figure), each.best_baseline or "–", difference(each.against_best),
            difference(each.against_lightgbm), *(difference(each.against_others.get(other)) for other in others),
        )
        for name, each in evaluation.comparisons.items()
    ]  # fmt: skip
    missing = [*evaluation.missing.items(), *evaluation.undefined.items()]
    truth = [] if evaluation.truth is None else truth_lines(evaluation.truth)
    about = [ASSOCIATION] if any(name in PRICE for name in evaluation.comparisons) else []
    return [*table(header, rows), *about, *truth, *(f"missing: {name}: {reason}" for name, reason in missing)]


def truth_lines(truth: KnownTruth) -> list[str]:
    """Rank correlations with the truth, and how well the truth itself predicts what happened."""
    last = ("best baseline", "", "difference")
    recovered = [_recovery(each, (BUNDLE,)) for each in truth.recovered]
    ceilings = [_recovery(each, (BUNDLE, TRUTH)) for each in truth.ceilings]
    return [
        "", *table(("rank correlation with the truth", "bundle", *last), recovered),
        "", *table(("order of what happened", "bundle", TRUTH, *last), ceilings),
    ]  # fmt: skip


def _recovery(each: Recovery, shown: tuple[str, ...]) -> tuple[str, ...]:
    best = each.best_baseline
    figures = (figure(each.models[name]) for name in (*shown, *([best] if best else [])))
    return (each.title, *figures, *(() if best else ("–",)), best or "–", difference(each.against_best))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
