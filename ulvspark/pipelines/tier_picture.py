"""Draw a night's value tiers as a picture: how many users each holds, and what they will spend and did spend."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ulvspark.contract.errors import ExpectedError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY, BLUE, ORANGE = "#7f8790", "#0072b2", "#e69f00"
"""Blue and orange are those of Okabe and Ito, which colour-blind readers tell apart; jfly.uni-koeln.de/color."""

WIDTH, DOTS_PER_INCH = 9.0, 160
"""Inches and resolution: text of 10 points is easy to read where the picture is 800 to 1,000 pixels wide."""


def tier_picture(sums: pd.DataFrame, currency: str, path: Path) -> None:
    """Write a PNG with the users of each tier on the left and their total spend on the right.

    ``sums`` has one row a tier, the lowest first, its name in the index, and the columns ``users`` and ``predicted``
    (total spend in ``currency``), and ``actual`` where the window has passed. Raises ExpectedError where matplotlib is
    not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra; few programs draw
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise ExpectedError("drawing the tiers needs the extra train; run `pip install 'ulvspark[train]'`") from None
    figure = Figure(figsize=(WIDTH, 0.7 + 0.62 * len(sums)), layout="constrained")
    users, spend = figure.subplots(1, 2, sharey=True, width_ratios=(2, 3))
    _draw_users(users, sums)
    _draw_spend(spend, sums, currency)
    users.set_yticks(range(len(sums)), list(sums.index), fontsize=11)
    FigureCanvasAgg(figure).print_figure(path, format="png", dpi=DOTS_PER_INCH)


def _draw_users(axes: "Axes", sums: pd.DataFrame) -> None:
    counts, everyone = sums["users"], sums["users"].sum()
    bars = axes.barh(range(len(sums)), counts, height=0.5, color=GREY)
    axes.bar_label(bars, [f"{count:,.0f}  ({count / everyone:.0%})" for count in counts], padding=4)
    _keep_bars_alone(axes, "Users in each value tier", room=1.55)


def _draw_spend(axes: "Axes", sums: pd.DataFrame, currency: str) -> None:
    colours = {"predicted": BLUE} | ({"actual": ORANGE} if "actual" in sums else {})
    height = 0.75 / len(colours)
    for place, (name, colour) in enumerate(colours.items()):
        rows = np.arange(len(sums)) + height * ((len(colours) - 1) / 2 - place)  # the first bar of a tier is on top
        bars = axes.barh(rows, sums[name].fillna(0), height=height, color=colour, label=name)
        axes.bar_label(bars, ["unknown" if pd.isna(amount) else f"{amount:,.0f}" for amount in sums[name]], padding=4)
    _keep_bars_alone(axes, f"Their total spend, {currency}", room=1.2)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, frameon=False, borderaxespad=0)


def _keep_bars_alone(axes: "Axes", title: str, room: float) -> None:
    """Show bars and their figures without a scale; the axis is ``room`` times as long as the longest bar."""
    axes.set_title(title, loc="left", fontweight="bold", fontsize=11)
    axes.set_xlim(0, max(axes.dataLim.xmax, 1) * room)
    axes.xaxis.set_visible(False)
    axes.tick_params(left=False)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(GREY)
