"""A report as sections of text, tables and charts, and these as one self-contained HTML page or as Markdown."""

import base64
import html
from collections.abc import Iterable
from dataclasses import dataclass

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1d2733; background: #fff; max-width: 70rem; margin: 2.5rem auto;
  padding: 0 1.25rem; }
h1 { font-size: 1.9rem; margin-bottom: .2rem; } h2 { font-size: 1.3rem; margin-top: 2.8rem;
  border-bottom: 2px solid #e3e8ee; padding-bottom: .3rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .84rem; margin: 1rem 0; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; white-space: nowrap; }
th, td { padding: .32rem .55rem; border-bottom: 1px solid #e3e8ee; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th { color: #52606f; font-weight: 600; white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
td.better { color: #0b6b3a; font-weight: 600; } td.worse { color: #b3261e; font-weight: 600; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } ul { padding-left: 1.2rem; }
nav { font-size: .92rem; display: flex; flex-wrap: wrap; gap: .2rem .9rem; } a { color: #22577a; }
"""


@dataclass(frozen=True)
class Cell:
    """A table cell; ``mark`` is ``better`` or ``worse`` where the difference it shows is sure."""

    text: str
    mark: str = ""


Row = tuple[str | Cell, ...]


@dataclass(frozen=True)
class Table:
    """``caption`` may be empty."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Chart:
    """An SVG picture; ``name`` is its file's, ``text`` says what it shows."""

    name: str
    text: str
    svg: bytes


Block = str | tuple[str, ...] | Table | Chart
"""A paragraph, a list of points, a table or a chart."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


def to_html(title: str, subtitle: str, sections: Iterable[Section]) -> str:
    """One page that loads nothing else."""
    parts = list(sections)
    links = "".join(f'<a href="#s{number}">{html.escape(each.title)}</a>' for number, each in enumerate(parts))
    body = "".join(_html_section(number, each) for number, each in enumerate(parts))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p>"
        f"<nav>{links}</nav>\n{body}</body></html>\n"
    )


def _html_section(number: int, section: Section) -> str:
    blocks = "\n".join(_html_block(block) for block in section.blocks)
    return f'<section id="s{number}"><h2>{html.escape(section.title)}</h2>\n{blocks}</section>\n'


def _html_block(block: Block) -> str:
    if isinstance(block, str):
        return f"<p>{html.escape(block)}</p>"
    if isinstance(block, tuple):
        return "<ul>" + "".join(f"<li>{html.escape(point)}</li>" for point in block) + "</ul>"
    if isinstance(block, Chart):
        data = base64.b64encode(block.svg).decode()
        alt = html.escape(block.text, quote=True)
        return f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{data}"></figure>'
    caption = f"<caption>{html.escape(block.caption)}</caption>" if block.caption else ""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in block.header)
    rows = "".join("<tr>" + "".join(_html_cell(cell) for cell in row) + "</tr>\n" for row in block.rows)
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>'


def _html_cell(cell: str | Cell) -> str:
    if isinstance(cell, str):
        return f"<td>{html.escape(cell)}</td>"
    mark = f' class="{cell.mark}"' if cell.mark else ""
    return f"<td{mark}>{html.escape(cell.text)}</td>"


def to_markdown(title: str, subtitle: str, sections: Iterable[Section], charts: str) -> str:
    """The same as Markdown; charts are files in the folder ``charts`` beside it."""
    parts = [f"# {title}", subtitle]
    for section in sections:
        parts.append(f"## {section.title}")
        parts += [_markdown_block(block, charts) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _markdown_block(block: Block, charts: str) -> str:
    if isinstance(block, str):
        return block
    if isinstance(block, tuple):
        return "\n".join(f"- {point}" for point in block)
    if isinstance(block, Chart):
        return f"![{block.text}]({charts}/{block.name}.svg)"
    lines = [block.header, tuple("---" for _ in block.header), *(tuple(map(_markdown_cell, row)) for row in block.rows)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"**{block.caption}**\n\n{table}" if block.caption else table


def _markdown_cell(cell: str | Cell) -> str:
    text = cell if isinstance(cell, str) else (f"**{cell.text}**" if cell.mark else cell.text)
    return text.replace("|", "\\|")
