"""What an evaluation prints."""

from collections.abc import Sequence

from model_training.quality.measures import MEASURES
from model_training.quality.results import Evaluation, Protocol
from model_training.quality.words import difference, figure, number, percent


def protocol_lines(protocol: Protocol) -> list[str]:
    """Dates and counts, before anything is fitted."""
    return [
        f"{protocol.cut} cut {protocol.as_of}: {protocol.users:,} users, window to {protocol.closes} "
        f"({protocol.horizon_days} days), {percent(protocol.spenders_share)} spend, "
        f"{number(protocol.spend)} {protocol.currency} in all",
        *(f"  learned from {origin}: {rows:,} users" for origin, rows in protocol.training_rows.items()),
    ]


def lines(evaluation: Evaluation) -> list[str]:
    """The bundle beside the best baseline and LightGBM, and what is missing."""
    header = ("measure", "bundle", "best baseline", "difference", "difference to LightGBM")
    rows = [
        (
            MEASURES[name].title, figure(each.figure), each.best_baseline or "–", difference(each.against_best),
            difference(each.against_lightgbm),
        )
        for name, each in evaluation.comparisons.items()
    ]  # fmt: skip
    missing = [*evaluation.missing.items(), *evaluation.undefined.items()]
    return [*table(header, rows), *(f"missing: {name}: {reason}" for name, reason in missing)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
