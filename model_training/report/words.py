"""How figures read."""

from model_training.evaluation.results import Difference, Figure


def number(value: float | None) -> str:
    """Three decimals below 10, thousands separated above 100; a dash where there is none."""
    if value is None:
        return "–"
    size = abs(value)
    return f"{value:.3f}" if size < 10 else f"{value:,.1f}" if size < 100 else f"{value:,.0f}"


def percent(value: float) -> str:
    """``63.7 %``."""
    return f"{value:.1%}".replace("%", " %")


def figure(of: Figure) -> str:
    """Value and interval: ``0.637 [0.620, 0.655]``."""
    if of.interval is None:
        return number(of.value)
    low, high = of.interval
    return f"{number(of.value)} [{number(low)}, {number(high)}]"


def difference(of: Difference | None) -> str:
    """Signed value and interval."""
    if of is None:
        return "–"
    if of.interval is None:
        return _signed(of.value)
    low, high = of.interval
    return f"{_signed(of.value)} [{_signed(low)}, {_signed(high)}]"


def _signed(value: float) -> str:
    text = number(value)
    return text if text.startswith("-") else f"+{text}"
