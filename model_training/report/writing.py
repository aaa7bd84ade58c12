"""Write an evaluation: as a page, as Markdown and as JSON, and as lines for the terminal."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from model_training.evaluation.measures import PRICE
from model_training.evaluation.results import Evaluation, EvaluationProtocol, KnownTruth
from model_training.report import evidence
from model_training.report.blocks import Chart, html_table, markdown_table, plain_table
from model_training.report.formatting import count, number, percent
from model_training.report.sections import sections, subtitle, title
from ulvspark.contract.storage.disk import full_disk_as_expected_error

CHARTS = "charts"


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """Write evaluation.json, report.html (which needs no other file), report.md and the charts that it shows.

    Raises ExpectedError where the disk is full.
    """
    content = sections(evaluation)
    page = {"title": title(evaluation), "subtitle": subtitle(evaluation), "sections": content, "charts": CHARTS}
    charts = [block for blocks in content.values() for block in blocks if isinstance(block, Chart)]
    templates = _templates()
    with full_disk_as_expected_error(f"writing the report to {folder}"):
        (folder / CHARTS).mkdir(parents=True, exist_ok=True)
        for chart in charts:
            (folder / CHARTS / f"{chart.name}.svg").write_bytes(chart.svg)
        figures = json.dumps(asdict(evaluation), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "evaluation.json").write_text(figures + "\n", encoding="utf-8")
        for name in ("report.html", "report.md"):
            (folder / name).write_text(templates.get_template(f"{name}.j2").render(page), encoding="utf-8")


def _templates() -> Environment:
    """The templates of this folder; those of HTML escape what they are given."""
    environment = Environment(
        loader=PackageLoader("model_training.report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"html_table": html_table, "markdown_table": markdown_table}
    return environment


def protocol_lines(protocol: EvaluationProtocol) -> Iterator[str]:
    """Dates and counts, known before anything is fitted."""
    yield (
        f"{protocol.cut} cut {protocol.as_of}: {count(protocol.users)} users, window to {protocol.closes} "
        f"({protocol.horizon_days} days), {percent(protocol.spenders_share)} spend, "
        f"{number(protocol.spend)} {protocol.currency} in all"
    )
    for origin, rows in protocol.training_rows.items():
        yield f"  learned from {origin}: {count(rows)} users"
    if not protocol.same_platform:
        yield evidence.TRANSFERRED
    if protocol.bundle_horizon_days != protocol.horizon_days:
        yield f"Note that {evidence.other_horizon(protocol)}."


def lines(evaluation: Evaluation) -> Iterator[str]:
    """The bundle beside the best baseline, LightGBM and other bundles, and what is missing."""
    yield plain_table(evidence.comparison_table(evaluation))
    if any(name in PRICE for name in evaluation.comparisons):
        yield evidence.ASSOCIATION
    if evaluation.truth is not None:
        yield from truth_lines(evaluation.truth)
    for name, reason in (evaluation.missing | evaluation.undefined).items():
        yield f"missing: {name}: {reason}"


def truth_lines(truth: KnownTruth) -> Iterator[str]:
    """Rank correlations with the truth, and how well the truth itself predicts what happened."""
    yield f"\n{plain_table(evidence.recovered_table(truth.recovered))}"
    yield f"\n{plain_table(evidence.ceiling_table(truth.ceilings))}"
