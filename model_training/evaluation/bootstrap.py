"""Confidence intervals: all models are measured on the same resamples of users, so that differences are paired."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from model_training.data.outcome import Floats
from model_training.evaluation.weighted import ones
from model_training.runs.progress import Progress

DRAWS = 1000
CONFIDENCE = 0.95
SEED = 0
MAX_CELLS = 200_000
"""Users times draws that are computed at once, so that they fit the processor's cache."""


Figures = dict[str, Floats]
"""By measure; the first value is of the sample itself, the others of its resamples."""


def resamples(n: int, draws: int, seed: int) -> Iterator[Floats]:
    """Blocks (d, n) of weights: the sample itself, then how often each of ``draws`` resamples holds each user."""
    yield ones(n)
    rng = np.random.default_rng(seed)
    block = max(1, MAX_CELLS // n)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        chosen = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def bootstrap(
    models: Mapping[str, Callable[[Floats], Figures]], n: int, draws: int = DRAWS, progress: bool = False
) -> dict[str, Figures]:
    """(1 + draws,) of each measure of each model; a model gives (d,) of its measures for weights (d, n).

    The same resamples whenever n and ``draws`` are the same.
    """
    parts: dict[str, list[Figures]] = {name: [] for name in models}
    with Progress("bootstrap", draws + 1, "draw", show=progress, keep=True) as bar:
        for weights in resamples(n, draws, SEED):
            for name, figures in models.items():
                parts[name].append(figures(weights))
            bar.update(len(weights))
    return {
        name: {measure: np.concatenate([block[measure] for block in blocks]) for measure in blocks[0]}
        for name, blocks in parts.items()
    }


def interval(figures: Floats) -> tuple[float, float] | None:
    """The middle 95 % of the resamples; None where a twentieth or more of them are not defined."""
    resampled = figures[1:]
    if len(resampled) == 0 or np.isnan(resampled).mean() >= 1 - CONFIDENCE:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(resampled, (tail, 1 - tail))
    return float(low), float(high)
