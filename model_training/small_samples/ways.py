"""The ways to learn from a small sample: baselines, new heads, a bundle of other platforms, and a cloze."""

from collections.abc import Callable, Sequence
from pathlib import Path

import lightgbm as lgb
import numpy as np
import torch
from scipy.stats import rankdata
from transformers import set_seed

from model_training.baselines import cloze, linear, past_spend
from model_training.baselines.task import decisions
from model_training.data.dataset import TrainingSet, cut_date
from model_training.data.outcome import Floats
from model_training.evaluation.bundle_metrics import score_rows
from model_training.evaluation.protocol import check_fits, same_platform
from model_training.finetuning.config import TrainConfig
from model_training.finetuning.phases import fit_heads
from model_training.finetuning.task import prepare
from model_training.small_samples.sample import Sample
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import render
from ulvspark.model.parts.predictions import Decisions, predict, to_scores
from ulvspark.model.predictor import Predictor

TREES = {"learning_rate": 0.05, "num_leaves": 4, "min_data_in_leaf": 5, "lambda_l2": 5.0, "verbosity": -1, "seed": 0}
"""Smaller trees than on a large training set, where the leaves hold more rows than there are here."""
TREE_ROUNDS = 100
CLOZE_EPOCHS, CLOZE_LEARNING_RATE = 5, 5e-5

Way = Callable[[Sample], Decisions]
"""Learns from the labelled users of a sample; predicts those of the cut."""


def ways_without_bundle(config: TrainConfig, scratch: Path) -> dict[str, Way]:
    """The ways that need nothing but the training set, by name; runs of training go into ``scratch``."""
    return {
        "spend of the last days": lambda sample: past_spend.predict(sample.task),
        "ridge and logistic on log RFM": lambda sample: linear.predict(sample.task),
        "LightGBM, small trees": small_trees,
        "new heads": lambda sample: fit_network(sample, config, scratch / "new"),
    }


def ways_with_bundle(
    folder: str, config: TrainConfig, whole: TrainingSet, cut_name: str, scratch: Path
) -> dict[str, Way]:
    """The ways that use the bundle in ``folder``, by name.

    Raises ExpectedError where the bundle does not fit ``whole``, or has learned from labels of this platform.
    """
    bundle = _load_stranger(folder, whole, cut_name)
    start = config.model_copy(update={"start_from": folder})
    return {
        "bundle from elsewhere, as it is": lambda sample: score_with_bundle(sample, bundle),
        "bundle, trained further": lambda sample: fit_network(sample, start, scratch / "on"),
        "bundle as it is and ridge, mean rank": lambda sample: mean_rank(
            score_with_bundle(sample, bundle), linear.predict(sample.task)
        ),
    }


def ways_with_cloze(base: str, words: Sequence[str], text: TextSpec) -> dict[str, Way]:
    """The ways that ask the base what a customer is worth, by name."""
    return {
        "cloze, only asked": lambda sample: fill_in_cloze(sample, base, words, text, 0),
        "cloze, tuned": lambda sample: fill_in_cloze(sample, base, words, text, CLOZE_EPOCHS),
    }


def _load_stranger(folder: str, whole: TrainingSet, cut_name: str) -> Predictor:
    predictor = Predictor.load(folder)
    check_fits(predictor, whole, cut_date(whole.meta.protocol, cut_name))
    if same_platform(predictor.manifest, whole):
        raise ExpectedError(f"bundle {predictor.manifest.version} learned from this platform; give one of others alone")
    return predictor


def score_with_bundle(sample: Sample, bundle: Predictor) -> Decisions:
    """The scores of ``bundle``, which learns nothing from the sample."""
    at_cut = np.flatnonzero(sample.training_set.rows["as_of_date"] == sample.cut)
    return score_rows(bundle, sample.training_set, at_cut)


def fit_network(sample: Sample, config: TrainConfig, folder: Path) -> Decisions:
    """Heads fitted as ``config`` says, new ones or those of a bundle; amounts are in platform scales."""
    set_seed(sample.seed)
    labels = len(sample.task.train.rows)
    run = folder / f"{labels}-{sample.seed}" / "run"
    task, network = prepare(config, sample.training_set, run, sample.cut_name)
    fit_heads(task, network)
    with torch.no_grad():
        outputs = network.cpu().eval()(**task.examples.batch(task.split.cut.tolist()))
    raw = {head: outputs[head].double() for head in config.network.heads}
    return to_scores(predict(raw), task.tiers, platform_scale=1.0)


def small_trees(sample: Sample) -> Decisions:
    """LightGBM of log(1 + spend) and of leaving, with a fixed number of rounds: there is nobody to stop early by."""
    known, target = sample.task.train.features(), sample.task.target.features()

    def fit_and_predict(objective: str, label: Floats) -> Floats:
        booster = lgb.train({**TREES, "objective": objective}, lgb.Dataset(known, label), TREE_ROUNDS)
        return np.asarray(booster.predict(target))

    outcome = sample.task.outcome
    spend = fit_and_predict("regression", np.log1p(outcome.spend_in_scales))
    return decisions(spend, fit_and_predict("binary", outcome.labels["churn"]))


def fill_in_cloze(sample: Sample, base: str, words: Sequence[str], text: TextSpec, epochs: int) -> Decisions:
    """Probabilities of the tiers' ``words`` in the blank of a prompt; the value is the mean number of the tier."""
    task = sample.task
    if len(words) != len(task.tiers.names):
        raise ExpectedError(f"--words: {len(words)} words for {len(task.tiers.names)} tiers; give one for each")
    model = cloze.load_cloze(base, text, words)
    known, target = ([render(history, text) for history in part.rows["history"]] for part in (task.train, task.target))
    if epochs:
        cloze.fit(model, model.read(known), task.outcome.tier, epochs, CLOZE_LEARNING_RATE, sample.seed)
    probabilities = cloze.tier_probabilities(model, model.read(target))
    return decisions(probabilities @ np.arange(probabilities.shape[1]), tiers=probabilities)


def mean_rank(one: Decisions, other: Decisions) -> Decisions:
    """The mean rank of a user by the two; amounts and probabilities are lost."""
    return {
        column: np.asarray(rankdata(one[column]) + rankdata(other[column]))
        for column in ("expected_value", "churn_probability")
        if column in one and column in other
    }
