"""The pictures of the report, as SVG."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from model_training.evaluation.curves import SHARES_OF_USERS
from model_training.evaluation.results import Bin

BLUE, ORANGE, GREY, GREEN, VIOLET = "#22577a", "#d9772b", "#8a96a3", "#3d8b5f", "#7a5195"
LINES = (BLUE, ORANGE, GREEN, VIOLET, GREY)
STYLE: dict[Any, Any] = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GREY, "axes.grid": True,
    "grid.color": "#e3e8ee", "axes.axisbelow": True, "font.size": 10, "svg.hashsalt": "ulvspark",
    "legend.frameon": False,
}  # fmt: skip


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _axes(width: float = 6.4, height: float = 4.2) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def gains(curves: dict[str, list[float]], best: Sequence[float]) -> bytes:
    """Share of spend among the first users by prediction; ``best`` is the order of what they spent."""
    with rc_context(STYLE):
        figure, axes = _axes()
        axes.plot(SHARES_OF_USERS, best, color=GREY, linestyle="--", linewidth=1, label="perfect foresight")
        for (name, shares), colour in zip(curves.items(), LINES, strict=False):
            axes.plot(SHARES_OF_USERS, shares, color=colour, label=name, linewidth=2)
        axes.plot((0, 1), (0, 1), color=GREY, linestyle=":", linewidth=1, label="at random")
        axes.set(xlabel="users, highest prediction first", ylabel="share of all spend", xlim=(0, 1), ylim=(0, 1.02))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="lower right")
        return _svg(figure)


def deciles(bins: Sequence[Bin], currency: str) -> bytes:
    """Mean predicted and actual spend of each tenth of users."""
    with rc_context(STYLE):
        figure, axes = _axes(7.2, 3.8)
        place = np.arange(len(bins))
        axes.bar(place - 0.2, [each.predicted for each in bins], 0.38, color=BLUE, label="predicted")
        axes.bar(place + 0.2, [each.actual for each in bins], 0.38, color=ORANGE, label="actual")
        axes.set_xticks(place, [str(number + 1) for number in place])
        axes.set(xlabel="tenth of users, highest prediction first", ylabel=f"mean spend, {currency}")
        axes.legend()
        return _svg(figure)


def calibration(curves: dict[str, Sequence[Bin]], what: str) -> bytes:
    """What happened against what was predicted; a good model follows the diagonal."""
    with rc_context(STYLE):
        figure, axes = _axes(5.2, 4.6)
        axes.plot((0, 1), (0, 1), color=GREY, linestyle=":", linewidth=1, label="perfectly calibrated")
        for (name, bins), colour in zip(curves.items(), LINES, strict=False):
            predicted, actual = [each.predicted for each in bins], [each.actual for each in bins]
            axes.plot(predicted, actual, color=colour, marker="o", markersize=4, label=name)
        axes.set(xlabel=f"predicted {what}", ylabel=f"actual {what}", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="upper left")
        return _svg(figure)


def differences(names: Sequence[str], values: Sequence[float], intervals: Sequence[tuple[float, float]]) -> bytes:
    """Differences with their intervals, one a line; right of 0 is better."""
    with rc_context(STYLE):
        figure, axes = _axes(6.8, 0.8 + 0.32 * len(names))
        for place, (value, (low, high)) in enumerate(zip(values, intervals, strict=True)):
            colour = GREEN if low > 0 else ORANGE if high < 0 else GREY
            axes.plot((low, high), (place, place), color=colour, linewidth=2)
            axes.plot(value, place, color=colour, marker="o", markersize=5)
        axes.axvline(0, color=GREY, linewidth=1)
        axes.set_yticks(range(len(names)), list(names))
        axes.invert_yaxis()
        axes.set_xlabel("difference to LightGBM, right of 0 is better")
        return _svg(figure)
