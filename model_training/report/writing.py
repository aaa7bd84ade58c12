"""The report's files."""

import json
from dataclasses import asdict
from pathlib import Path

from model_training.evaluation.results import Evaluation
from model_training.report.page import Chart, to_html, to_markdown
from model_training.report.sections import sections, title
from ulvspark.contract.disk import told_when_full

CHARTS = "charts"


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """Write evaluation.json, report.html, report.md and the charts that Markdown shows.

    Raises ExpectedError where the disk is full.
    """
    parts = sections(evaluation)
    with told_when_full(f"writing the report to {folder}"):
        (folder / CHARTS).mkdir(parents=True, exist_ok=True)
        for chart in (block for part in parts for block in part.blocks if isinstance(block, Chart)):
            (folder / CHARTS / f"{chart.name}.svg").write_bytes(chart.svg)
        figures = json.dumps(asdict(evaluation), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "evaluation.json").write_text(figures + "\n", encoding="utf-8")
        (folder / "report.html").write_text(to_html(*title(evaluation), parts), encoding="utf-8")
        (folder / "report.md").write_text(to_markdown(*title(evaluation), parts, CHARTS), encoding="utf-8")
