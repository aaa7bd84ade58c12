"""The two stages of a fine-tuning: heads on the frozen base, then the base itself."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace

from torch import nn
from transformers import TrainerCallback

from model_training.evaluation.bundle_metrics import evaluate_in_memory
from model_training.evaluation.metrics import Metric
from model_training.finetuning.adapters import RankUpdates, add_adapter, final_ranks, orthogonality
from model_training.finetuning.arguments import per_device, total_steps
from model_training.finetuning.config import AdaLora, Adapter, Prefix, TrainConfig
from model_training.finetuning.freezing import freeze, set_dropout
from model_training.finetuning.frozen import pooled_states, without_backbone
from model_training.finetuning.task import TrainingTask
from model_training.finetuning.training import Stage, Trained, train
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.encoder.backbone import max_positions
from ulvspark.model.encoder.text_encoder import TextReader
from ulvspark.model.network.network import UserValueNetwork

logger = logging.getLogger(__name__)

POOLED = "pooled"
"""Folder beside the runs' own."""


def check_tuning(config: TrainConfig, backbone: nn.Module | None) -> None:
    """Raises ExpectedError for what would stop a stage, before any stage begins."""
    per_device(config.heads)
    if backbone is None or not config.tuning.touches_base:
        return
    per_device(config.tuning.optimiser)
    trial = copy.deepcopy(backbone)
    freeze(trial, config.tuning)
    if isinstance(config.tuning.adapter, Prefix):
        _check_room(config, config.tuning.adapter, backbone)
    if config.tuning.adapter is not None:
        add_adapter(trial, config.tuning.adapter, steps=100)


def _check_room(config: TrainConfig, prefix: Prefix, backbone: nn.Module) -> None:
    positions = max_positions(backbone)
    if positions is not None and config.text.max_tokens + prefix.tokens > positions:
        raise ExpectedError(
            f"text.max_tokens {config.text.max_tokens} and tuning.adapter.tokens {prefix.tokens} exceed the "
            f"{positions} positions of the base; lower one of them"
        )


def fit_heads(
    task: TrainingTask, network: UserValueNetwork, callbacks: Sequence[TrainerCallback] = ()
) -> tuple[Trained, dict[Metric, float]]:
    """Fit the heads to what the frozen base makes of the texts: the untuned model. Also returns its metrics."""
    examples = task.examples
    if network.encoder is not None and examples.texts is not None:
        pooled = pooled_states(network.encoder, examples.texts, task.precision, task.folder.parent / POOLED)
        examples = examples.with_pooled(pooled)
    light = without_backbone(network)
    stage = Stage(
        "heads", examples, task.split, task.tiers, task.config.heads, "fp32", task.folder / "heads",
        group_by_length=task.config.group_by_length, callbacks=tuple(callbacks),
    )  # fmt: skip
    trained = train(light, stage, task.config)
    return trained, evaluate_in_memory(light, examples, task.split.cut, task.tiers)


def tune(
    task: TrainingTask, network: UserValueNetwork, encoder: TextReader, callbacks: Sequence[TrainerCallback] = ()
) -> Trained:
    """Train the base as ``tuning`` says, together with the heads. An adapter is left in ``encoder``, unmerged."""
    tuning = task.config.tuning
    if tuning.start == "new_heads":
        _forget(encoder.beside_backbone()["projection"], network.decider)
    set_dropout(encoder.backbone, tuning.dropout)
    freeze(encoder.backbone, tuning)
    if tuning.adapter is not None:
        steps = total_steps(len(task.split.fit), tuning.optimiser)
        encoder.backbone = add_adapter(encoder.backbone, tuning.adapter, steps)
    stage = Stage(
        "tuning", task.examples, task.split, task.tiers, tuning.optimiser, task.precision, task.folder / "tuning",
        group_by_length=task.config.group_by_length, layer_decay=tuning.layer_decay, callbacks=tuple(callbacks),
    )  # fmt: skip
    trained = train(network, _pruning_ranks(stage, tuning.adapter, encoder.backbone), task.config)
    if ranks := final_ranks(encoder.backbone):
        mean = sum(ranks.values()) / len(ranks)
        logger.info("AdaLoRA ended with a mean rank of %.1f over %d matrices", mean, len(ranks))
    return trained


def _pruning_ranks(stage: Stage, adapter: Adapter | None, backbone: nn.Module) -> Stage:
    """AdaLoRA needs more than Trainer does by itself; other methods don't."""
    if not isinstance(adapter, AdaLora):
        return stage
    weight = adapter.orthogonality
    return replace(
        stage,
        callbacks=(*stage.callbacks, RankUpdates(backbone)),
        extra_loss=lambda: orthogonality(backbone, weight),
    )


def _forget(*parts: nn.Module) -> None:
    """Give new random weights to all layers; what was measured (feature statistics) stays."""
    for part in parts:
        for module in part.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm):
                module.reset_parameters()
