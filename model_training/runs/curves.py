"""Draw the losses and held-out metrics of a run, step by step."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Log = Sequence[dict[str, float]]

SHOWN = ("eval_spearman", "eval_gini", "eval_churn_auc", "eval_top20_auc", "eval_tier_f1")


def draw_curves(log: Log, path: Path, title: str) -> None:
    """Loss (training, held-out) beside the held-out metrics, by optimiser step, as a PNG."""
    # Without pyplot, which may open windows and change how a notebook shows its own pictures.
    figure = Figure(figsize=(11, 4), layout="constrained")
    figure.suptitle(title)
    losses, metrics = figure.subplots(1, 2)
    for key, name in (("loss", "training"), ("eval_loss", "held-out users")):
        _line(losses, log, key, name)
    for key in SHOWN:
        _line(metrics, log, key, key.removeprefix("eval_"))
    losses.set(title="loss", xlabel="step")
    metrics.set(title="held-out users", xlabel="step")
    for axes in (losses, metrics):
        if axes.lines:
            axes.legend()
    figure.savefig(path, dpi=110)


def _line(axes: Axes, log: Log, key: str, name: str) -> None:
    points = [(entry["step"], entry[key]) for entry in log if key in entry]
    if points:
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
