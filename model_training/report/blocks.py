"""What a section of a report is made of: text, tables and charts; and tables as plain text, Markdown and HTML."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from model_training.report.formatting import MARKS


@dataclass(frozen=True)
class ReportTable:
    """``cells`` hold text, with the labels of rows in the index; ``caption`` may be empty."""

    caption: str
    cells: pd.DataFrame


@dataclass(frozen=True)
class Chart:
    """An SVG picture; ``name`` is the name of its file, ``text`` says what it shows."""

    name: str
    text: str
    svg: bytes

    @property
    def data_uri(self) -> str:
        """The picture as the ``src`` of an image, so that the page needs no other file."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


Block = str | tuple[str, ...] | ReportTable | Chart
"""A paragraph, a list of points, a table or a chart."""


def as_table(rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """A table of text from rows with the same keys; the first key names the column of labels, which becomes the index.

    Without rows the table is empty and has no columns.
    """
    table = pd.DataFrame(list(rows), dtype=str)
    if table.empty:
        return table
    label = table.columns[0]
    return table.set_index(label).rename_axis(index=None, columns=label)


def plain_table(table: pd.DataFrame) -> str:
    """Lines of aligned columns, for the terminal."""
    return "" if table.empty else table.to_string()


def markdown_table(table: pd.DataFrame) -> str:
    """A table of GitHub's Markdown."""
    rows = [[table.columns.name, *table.columns], ["---"] * (1 + table.shape[1]), *table.itertuples()]
    lines = (" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in rows)
    return "\n".join(f"| {line} |" for line in lines)


def html_table(table: pd.DataFrame) -> str:
    """An HTML table, its text escaped; cells of clear differences have the class ``better`` or ``worse``."""
    with pd.option_context("display.max_colwidth", None):
        html = table.to_html(border=0)
    for verdict, mark in MARKS.items():
        if mark:
            html = html.replace(f"<td>{mark}", f'<td class="{verdict}">{mark}')
    return html
