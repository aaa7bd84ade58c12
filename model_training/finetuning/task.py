"""Prepare a training run: its rows, split, tiers and texts, and a network with untrained heads."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from model_training.data import dataset
from model_training.data.dataset import Rows, Split, TrainingSet
from model_training.data.examples import Examples
from model_training.data.platforms import check_amounts
from model_training.data.tier_fit import fit_tiers
from model_training.finetuning.bases import Base, load_base
from model_training.finetuning.config import TrainConfig
from model_training.finetuning.starting import start_from
from model_training.runs.devices import chosen_precision
from ulvspark.contract.spec import TierSpec
from ulvspark.model.network.network import UserValueNetwork, build_network


@dataclass(frozen=True)
class TrainingTask:
    """The data and choices of a training run. ``tokenizer`` is None where the network reads no text."""

    config: TrainConfig
    training_set: TrainingSet
    """Only the rows that a model for the cut may see."""
    cut: date
    cut_name: str
    split: Split
    tiers: TierSpec
    examples: Examples
    tokenizer: PreTrainedTokenizerBase | None
    base_name: str
    precision: str
    folder: Path


def prepare(
    config: TrainConfig, whole: TrainingSet, folder: Path, cut_name: str
) -> tuple[TrainingTask, UserValueNetwork]:
    """The task of a run for the cut ``validation`` or ``test``, and its network.

    Raises ExpectedError where there are too few data or only one tier, where tier bounds in money meet platforms of
    several currencies, or where the base does not load or fit.
    """
    precision = chosen_precision(config.precision)
    cut = dataset.cut_date(whole.meta.protocol, cut_name)
    training_set = dataset.restrict(whole, cut)
    split = dataset.split(training_set.rows, cut, config.validation.held_out_share, config.min_users)
    tiers = _tiers(config, training_set, split)
    base = load_base(config.base, config.text, config.network.pooling) if config.network.use_text else None
    tokenizer = None if base is None else base.tokenizer
    examples = Examples.from_training_set(training_set, tiers, config.network, tokenizer, config.text)
    task = TrainingTask(
        config, training_set, cut, cut_name, split, tiers, examples, tokenizer,
        base_name="none" if base is None else base.name, precision=precision, folder=folder,
    )  # fmt: skip
    return task, _network(task, base)


def _tiers(config: TrainConfig, training_set: TrainingSet, split: Split) -> TierSpec:
    if config.tiers.amounts is not None:
        check_amounts(training_set)
    spend = training_set.rows["spend"].to_numpy("float64")[split.fit]
    dataset.check_spend(spend)
    return fit_tiers(config.tiers, spend, training_set.scales()[split.fit])


def _network(task: TrainingTask, base: Base | None) -> UserValueNetwork:
    config, fit = task.config, task.split.fit
    network = build_network(
        config.network,
        None if base is None else base.backbone,
        task.training_set.meta.history_spec,
        n_tiers=len(task.tiers.names),
        class_weights=class_weights(config, task.examples.outcome.tier[fit]),
        head_weights=config.loss.head_weights,
    )
    network.decider.fit_statistics(task.examples.features[fit])
    if config.start_from is not None:
        start_from(config.start_from, network, task.training_set.meta.history_spec, config.text)
    return network


def class_weights(config: TrainConfig, tier: Rows) -> Tensor | None:
    """(K,) weights of the tiers, or None where all weigh the same. ``tier`` (n,) are the tier numbers of rows."""
    weights = config.loss.class_weights
    if weights == "balanced":
        counts = torch.from_numpy(tier).bincount(minlength=len(config.tiers.names))
        return len(tier) / (len(counts) * counts.float())
    return None if weights is None else torch.tensor(weights)
