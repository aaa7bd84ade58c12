"""Which way of learning wins when few users have labels: a table by number of labels.

    python -m model_training.few_labels --warehouse ROOT [--bundle FOLDER] [--cloze BASE] [--labels 50 100 300]

Users with labels are drawn, several times, from the newest origin whose window had closed on the cut; every way learns
from the same draws and is judged on the same users of the cut. ``--bundle`` is the folder of a bundle that learned from
other platforms alone: it is judged as it is, and gone on from as conf/recipes/few_labels.yaml says. ``--cloze`` is a
base with a trained head for masked words, which is asked what a customer is worth.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import lightgbm as lgb
import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from transformers import set_seed

from model_training.baselines import cloze, linear, past_spend
from model_training.baselines.task import BaselineTask, UnfitError, decisions, make_task
from model_training.data import dataset
from model_training.data.dataset import TrainingSet
from model_training.data.outcome import Floats
from model_training.data.tier_fit import fit_tiers
from model_training.evaluation.bundle_metrics import score_rows
from model_training.evaluation.metrics import measure
from model_training.evaluation.protocol import check_fits, same_platform
from model_training.finetuning.config import TrainConfig, load_train_config
from model_training.finetuning.phases import fit_heads
from model_training.finetuning.task import prepare
from model_training.report.terminal import table
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.history.text import render
from ulvspark.model.parts.predictions import Decisions, predict, to_scores
from ulvspark.model.predictor import Predictor

SHOWN = {"spearman": "Spearman", "top20_auc": "AUC, top 20 %", "churn_auc": "AUC, leaving"}
TREES = {"learning_rate": 0.05, "num_leaves": 4, "min_data_in_leaf": 5, "lambda_l2": 5.0, "verbosity": -1, "seed": 0}
"""Smaller than those of a large training set, which would not grow at all from fifty rows."""
ROUNDS = 100
EPOCHS, LEARNING_RATE = 5, 5e-5
"""Of the cloze."""
UNFIT = "unfit"
"""Why a way could not learn from a draw."""


@dataclass(frozen=True)
class Draw:
    """Labelled users, and those of the cut that are judged on, as baselines see them and as one training set."""

    training_set: TrainingSet
    known: BaselineTask
    cut_name: str
    seed: int


Way = Callable[[Draw], Decisions]


def main(argv: Sequence[str] | None = None) -> int:
    """Compare and print; raises ExpectedError for bad input."""
    args = parser().parse_args(argv)
    config = load_train_config(args.config, args.overrides)
    whole = dataset.read_training_set(args.warehouse)
    found = []
    with TemporaryDirectory() as scratch:
        ways = all_ways(args, config, whole, Path(scratch))
        for labels in args.labels:
            for seed in range(args.samples):
                now = draw(whole, args.cut, config, labels, args.users, seed)
                found += [{"way": name, "labels": labels, **_tried(way, now)} for name, way in ways.items()]
    _report(pd.DataFrame(found, columns=["way", "labels", *SHOWN, UNFIT]))
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(prog="model_training.few_labels", description=(__doc__ or "").splitlines()[0])
    arguments.add_argument(
        "--warehouse", required=True, metavar="ROOT", help="where training_set is: a folder or s3://"
    )
    arguments.add_argument("--bundle", metavar="FOLDER", help="a bundle of other platforms, as fetched from its store")
    arguments.add_argument("--cloze", metavar="BASE", help="a base with a head for masked words")
    arguments.add_argument(
        "--words", nargs="+", default=cloze.WORDS, metavar="WORD", help="for the tiers, lowest first"
    )
    arguments.add_argument("--labels", type=int, nargs="+", default=[50, 100, 300], help="default: 50 100 300")
    arguments.add_argument("--samples", type=int, default=5, help="draws of each size (default: %(default)s)")
    arguments.add_argument("--users", type=int, metavar="N", help="judge on so many users of the cut (default: all)")
    arguments.add_argument("--cut", choices=("validation", "test"), default="validation", help="default: validation")
    arguments.add_argument("--config", default="conf/recipes/few_labels.yaml", metavar="YAML", help="of the networks")
    arguments.add_argument("--overrides", nargs="*", default=[], metavar="a.b=value", help="changes to it")
    return arguments


def draw(whole: TrainingSet, cut_name: str, config: TrainConfig, labels: int, users: int | None, seed: int) -> Draw:
    """``labels`` users of the newest origin closed by the cut; judged on ``users`` of the cut, the same in every draw.

    Raises ExpectedError where there are fewer.
    """
    cut = dataset.cut_date(whole.meta.protocol, cut_name)
    newest = max(whole.meta.protocol.origins_closed_by(cut))
    chosen = np.concatenate([_some(whole, newest, labels, seed), _some(whole, cut, users, 0)])
    few = replace(whole, rows=whole.rows.iloc[chosen].reset_index(drop=True))
    labelled = slice(0, labels)
    tiers = fit_tiers(config.tiers, few.rows["spend"].to_numpy("float64")[labelled], few.scales()[labelled])
    return Draw(few, make_task(few, cut, tiers), cut_name, seed)


def _some(whole: TrainingSet, as_of: date, size: int | None, seed: int) -> dataset.Rows:
    here = np.flatnonzero(whole.rows["as_of_date"].to_numpy() == as_of)
    if size is None:
        return here
    if size > len(here):
        raise ExpectedError(f"training set: {len(here)} users as of {as_of}, but {size} are asked for; ask for fewer")
    return np.sort(np.random.default_rng(seed).choice(here, size, replace=False))


def all_ways(args: argparse.Namespace, config: TrainConfig, whole: TrainingSet, scratch: Path) -> dict[str, Way]:
    """By name. Raises ExpectedError where the bundle has seen labels of this platform."""
    ways: dict[str, Way] = {
        "spend of the last days": lambda now: past_spend.predict(now.known),
        "ridge and logistic on log RFM": lambda now: linear.predict(now.known),
        "LightGBM, small trees": trees,
        "new heads": lambda now: network(now, config, scratch / "new"),
    }
    if args.bundle is not None:
        stranger = _stranger(args.bundle, whole, args.cut)
        going_on = config.model_copy(update={"start_from": args.bundle})
        ways["bundle from elsewhere, as it is"] = lambda now: as_it_is(now, stranger)
        ways["bundle, gone on from"] = lambda now: network(now, going_on, scratch / "on")
        ways["bundle as it is and ridge, mean rank"] = lambda now: mean_rank(
            as_it_is(now, stranger), linear.predict(now.known)
        )
    if args.cloze is not None:
        ways["cloze, only asked"] = lambda now: fill_in(now, config, args, 0)
        ways["cloze, tuned"] = lambda now: fill_in(now, config, args, EPOCHS)
    return ways


def _stranger(folder: str, whole: TrainingSet, cut_name: str) -> Predictor:
    predictor = Predictor.load(folder)
    check_fits(predictor, whole, dataset.cut_date(whole.meta.protocol, cut_name))
    if same_platform(predictor.manifest, whole):
        raise ExpectedError(f"bundle {predictor.manifest.version} learned from this platform; give one of others alone")
    return predictor


def as_it_is(now: Draw, predictor: Predictor) -> Decisions:
    """What a bundle predicts that has seen no label of this platform."""
    cut = dataset.cut_date(now.training_set.meta.protocol, now.cut_name)
    return score_rows(predictor, now.training_set, np.flatnonzero(now.training_set.rows["as_of_date"] == cut))


def network(now: Draw, config: TrainConfig, folder: Path) -> Decisions:
    """Heads fitted as ``config`` says, new ones or those of a bundle; amounts in platform scales."""
    set_seed(now.seed)
    labels = len(now.known.train.rows)
    task, made = prepare(config, now.training_set, folder / f"{labels}-{now.seed}" / "run", now.cut_name)
    fit_heads(task, made)
    with torch.no_grad():
        outputs = made.cpu().eval()(**task.examples.batch(task.split.cut.tolist()))
    raw = {head: outputs[head].double() for head in config.network.heads}
    return to_scores(predict(raw), task.tiers, platform_scale=1.0)


def trees(now: Draw) -> Decisions:
    """LightGBM of log(1 + spend) and of leaving, as many rounds whatever the labels: there are none to stop by."""
    known, new = now.known.train.features(), now.known.target.features()

    def grown(objective: str, label: Floats) -> Floats:
        booster = lgb.train({**TREES, "objective": objective}, lgb.Dataset(known, label), ROUNDS)
        return np.asarray(booster.predict(new))

    outcome = now.known.outcome
    return decisions(grown("regression", np.log1p(outcome.spend_in_scales)), grown("binary", outcome.labels["churn"]))


def fill_in(now: Draw, config: TrainConfig, args: argparse.Namespace, epochs: int) -> Decisions:
    """The tiers that a prompt's blank is filled with; the value is the mean tier."""
    if len(args.words) != len(now.known.tiers.names):
        raise ExpectedError(
            f"--words: {len(args.words)} words for {len(now.known.tiers.names)} tiers; give one for each"
        )
    found = cloze.load_cloze(args.cloze, config.text, args.words)
    known, new = ([render(history, config.text) for history in part.rows["history"]]
                  for part in (now.known.train, now.known.target))  # fmt: skip
    if epochs:
        cloze.fit(found, found.read(known), now.known.outcome.tier, epochs, LEARNING_RATE, now.seed)
    probabilities = cloze.tier_probabilities(found, found.read(new))
    return decisions(probabilities @ np.arange(probabilities.shape[1]), tiers=probabilities)


def mean_rank(one: Decisions, other: Decisions) -> Decisions:
    """The order that two ways agree on; levels are lost."""

    return {
        column: np.asarray(rankdata(one[column]) + rankdata(other[column]))
        for column in ("expected_value", "churn_probability")
        if column in one and column in other
    }


def _tried(way: Way, now: Draw) -> dict[str, float] | dict[str, str]:
    """The measures of ``way``, or why it could not learn: of few users it may be that nobody left."""
    try:
        return _judged(way(now), now)
    except UnfitError as reason:
        return {UNFIT: str(reason)}


def _judged(scores: Decisions, now: Draw) -> dict[str, float]:
    cut = dataset.cut_date(now.training_set.meta.protocol, now.cut_name)
    at_cut = replace(now.training_set, rows=now.training_set.rows[now.training_set.rows["as_of_date"] == cut])
    found = measure(at_cut.outcome(now.known.tiers), scores)
    return {name: found[name] for name in SHOWN if name in found}


def _report(found: pd.DataFrame) -> None:
    """Print a table for each measure (mean and deviation over the draws, best way by size), and what was left out."""
    ways, sizes = (list(dict.fromkeys(found[name])) for name in ("way", "labels"))
    for name, title in SHOWN.items():
        by_way = found.groupby(["way", "labels"])[name]
        mean, std = (figures.unstack().reindex(index=ways, columns=sizes) for figures in (by_way.mean(), by_way.std()))
        rows = [
            (way, *map(_cell, means, spreads))
            for way, means, spreads in zip(ways, mean.to_numpy(), std.to_numpy(), strict=True)
            if not np.isnan(means).all()
        ]
        wins = ("best", *("" if mean[size].isna().all() else str(mean[size].idxmax()) for size in sizes))
        print("", *table((title, *(f"{size} labels" for size in sizes)), [*rows, wins]), sep="\n")
    _report_unfit(found)


def _cell(mean: float, std: float) -> str:
    """Blank where no draw gave the measure."""
    return "" if np.isnan(mean) else f"{mean:.3f} ± {np.nan_to_num(std):.3f}"


def _report_unfit(found: pd.DataFrame) -> None:
    """Which draws the means of a way leave out, and why."""
    by_way = found.groupby(["way", "labels"], sort=False)[UNFIT].agg(["count", "size", "first"]).reset_index()
    for _, each in by_way[by_way["count"] > 0].iterrows():
        draws = f"{each['count']} of {each['size']} draws"
        print(f"left out: {each['way']}, {each['labels']} labels, {draws}: {each['first']}")


if __name__ == "__main__":
    run_as_job(main)
