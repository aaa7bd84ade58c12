"""The tables of a comparison on small samples: a measure each, by way of learning and number of labels."""

import numpy as np
import pandas as pd

from model_training.report.blocks import as_table, plain_table

SHOWN = {"spearman": "Spearman", "top20_auc": "AUC, top 20 %", "churn_auc": "AUC, leaving"}
UNFIT = "unfit"
"""The column that says why a way could not learn from a sample."""


def comparison_lines(results: pd.DataFrame) -> list[str]:
    """The tables, and what their means leave out. ``results`` has a row for each sample and way of learning."""
    lines: list[str] = []
    for measure, title in SHOWN.items():
        lines += ["", *_table_of_measure(results, measure, title)]
    return [*lines, *_left_out(results)]


def _table_of_measure(results: pd.DataFrame, measure: str, title: str) -> list[str]:
    """Mean and standard deviation over the samples, and which way is best with each number of labels."""
    ways, sizes = (list(dict.fromkeys(results[name])) for name in ("way", "labels"))
    samples = results.groupby(["way", "labels"])[measure]
    means, deviations = (
        figures.unstack().reindex(index=ways, columns=sizes) for figures in (samples.mean(), samples.std())
    )
    rows = [
        (way, *map(_cell, mean, deviation))
        for way, mean, deviation in zip(ways, means.to_numpy(), deviations.to_numpy(), strict=True)
        if not np.isnan(mean).all()
    ]
    best = ("best", *("" if means[size].isna().all() else str(means[size].idxmax()) for size in sizes))
    columns = (title, *(f"{size} labels" for size in sizes))
    table = as_table(dict(zip(columns, row, strict=True)) for row in (*rows, best))
    return plain_table(table).splitlines()


def _cell(mean: float, deviation: float) -> str:
    """Blank where no sample gave the measure."""
    return "" if np.isnan(mean) else f"{mean:.3f} ± {np.nan_to_num(deviation):.3f}"


def _left_out(results: pd.DataFrame) -> list[str]:
    """A line for each way and number of labels of which some samples could not be learned from."""
    by_way = results.groupby(["way", "labels"], sort=False)[UNFIT].agg(["count", "size", "first"]).reset_index()
    return [
        f"left out: {row['way']}, {row['labels']} labels, {row['count']} of {row['size']} samples: {row['first']}"
        for _, row in by_way[by_way["count"] > 0].iterrows()
    ]
