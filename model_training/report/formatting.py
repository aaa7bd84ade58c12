"""How the numbers of a report are written."""

from model_training.evaluation.results import Difference, Figure

NONE = "–"
"""Stands where there is no number."""

MARKS = {"better": "▲ ", "worse": "▼ ", "equal": ""}
"""Stands before a difference, by its verdict."""


def number(value: float | None) -> str:
    """Three decimals below 10, one below 100, none above."""
    if value is None:
        return NONE
    size = abs(value)
    return f"{value:.3f}" if size < 10 else f"{value:,.1f}" if size < 100 else f"{value:,.0f}"


def count(value: int) -> str:
    """``12,345``."""
    return f"{value:,}"


def percent(value: float) -> str:
    """``63.7 %``."""
    return f"{value:.1%}".replace("%", " %")


def figure(shown: Figure) -> str:
    """Value and interval: ``0.637 [0.620, 0.655]``."""
    if shown.interval is None:
        return number(shown.value)
    low, high = shown.interval
    return f"{number(shown.value)} [{number(low)}, {number(high)}]"


def difference(shown: Difference | None) -> str:
    """Verdict, signed value and interval: ``▲ +0.012 [+0.003, +0.021]``."""
    if shown is None:
        return NONE
    bounds = "" if shown.interval is None else " [{}, {}]".format(*map(_signed, shown.interval))
    return f"{MARKS[shown.verdict]}{_signed(shown.value)}{bounds}"


def _signed(value: float) -> str:
    text = number(value)
    return text if text.startswith("-") else f"+{text}"
