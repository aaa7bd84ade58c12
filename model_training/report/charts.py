"""The charts of the report, drawn as SVG."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from model_training.evaluation.results import Bin, Difference

BLUE, ORANGE, GREY, GREEN, VIOLET = "#22577a", "#d9772b", "#8a96a3", "#3d8b5f", "#7a5195"
LINES = (BLUE, ORANGE, GREEN, VIOLET, GREY)
COLOURS = {"better": GREEN, "worse": ORANGE, "equal": GREY}
STYLE: dict[Any, Any] = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GREY, "axes.grid": True,
    "grid.color": "#e3e8ee", "axes.axisbelow": True, "font.size": 10, "svg.hashsalt": "ulvspark",
    "legend.frameon": False,
}  # fmt: skip


@rc_context(STYLE)
def gains(curves: Mapping[str, Sequence[float]], best: Sequence[float]) -> bytes:
    """Share of all spend among the first users by prediction; ``best`` ranks users by what they really spent.

    Each curve has a value for equally spaced shares of users from 0 to 1.
    """
    figure, axes = _new_chart(5.0, 4.0)
    users = np.linspace(0, 1, len(best))
    axes.plot(users, best, color=GREY, linestyle="--", linewidth=1, label="perfect foresight")
    for (name, shares), colour in zip(curves.items(), LINES, strict=False):
        axes.plot(users, shares, color=colour, label=name, linewidth=2)
    axes.plot((0, 1), (0, 1), color=GREY, linestyle=":", linewidth=1, label="at random")
    axes.set(xlabel="users, highest prediction first", ylabel="share of all spend", xlim=(0, 1), ylim=(0, 1.02))
    _write_percent(axes.xaxis, axes.yaxis)
    axes.legend(loc="lower right")
    return _svg(figure)


@rc_context(STYLE)
def deciles(bins: Sequence[Bin], currency: str) -> bytes:
    """Mean predicted and actual spend of each tenth of users."""
    figure, axes = _new_chart(5.8, 3.8)
    places = np.arange(1, len(bins) + 1)
    axes.bar(places - 0.2, [tenth.predicted for tenth in bins], 0.38, color=BLUE, label="predicted")
    axes.bar(places + 0.2, [tenth.actual for tenth in bins], 0.38, color=ORANGE, label="actual")
    axes.set_xticks(places)
    axes.grid(visible=False, axis="x")
    axes.set(xlabel="tenth of users, highest prediction first", ylabel=f"mean spend, {currency}")
    axes.legend()
    return _svg(figure)


@rc_context(STYLE)
def calibration(curves: Mapping[str, Sequence[Bin]], share: str) -> bytes:
    """The share that came about against the share that was predicted; good predictions follow the diagonal."""
    figure, axes = _new_chart(5.2, 4.6)
    axes.plot((0, 1), (0, 1), color=GREY, linestyle=":", linewidth=1, label="perfectly calibrated")
    for (name, bins), colour in zip(curves.items(), LINES, strict=False):
        predicted, actual = [tenth.predicted for tenth in bins], [tenth.actual for tenth in bins]
        axes.plot(predicted, actual, color=colour, marker="o", markersize=4, label=name)
    axes.set(xlabel=f"predicted {share}", ylabel=f"actual {share}", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    _write_percent(axes.xaxis, axes.yaxis)
    axes.legend(loc="upper left")
    return _svg(figure)


@rc_context(STYLE)
def differences(shown: Mapping[str, Difference], rival: str) -> bytes:
    """Differences to ``rival`` with their intervals, one a line."""
    figure, axes = _new_chart(6.8, 0.8 + 0.32 * len(shown))
    for place, difference in enumerate(shown.values()):
        colour = COLOURS[difference.verdict]
        if difference.interval:
            axes.plot(difference.interval, (place, place), color=colour, linewidth=2)
        axes.plot(difference.value, place, color=colour, marker="o", markersize=5)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(shown)), list(shown))
    axes.invert_yaxis()
    axes.set_xlabel(f"difference to {rival}; right of 0 the bundle is better")
    return _svg(figure)


def _new_chart(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty chart; sizes are in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _write_percent(*axes: Axis) -> None:
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1))


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
