"""The two phases of a fine-tuning: the heads phase on the frozen base, and the tuning phase, which changes the base."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace

from torch import nn
from transformers import TrainerCallback

from model_training.evaluation.bundle_metrics import evaluate_in_memory
from model_training.evaluation.metrics import Metric
from model_training.finetuning.adapters import RankUpdates, add_adapter, final_ranks, orthogonality
from model_training.finetuning.config import AdaLora, Adapter, Prefix, TrainConfig
from model_training.finetuning.freezing import freeze, set_dropout
from model_training.finetuning.pooled_states import pooled_states, without_backbone
from model_training.finetuning.task import TrainingTask
from model_training.finetuning.trainer_arguments import per_device, total_steps
from model_training.finetuning.training import Phase, PhaseResult, train
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.encoder.backbone import max_positions
from ulvspark.model.encoder.text_encoder import TextEncoder
from ulvspark.model.network.network import UserValueNetwork

logger = logging.getLogger(__name__)

POOLED = "pooled"
"""The folder of pooled states, beside those of the runs, which share them."""


def check_tuning(config: TrainConfig, backbone: nn.Module | None) -> None:
    """Raises ExpectedError, before any phase begins, for what would stop one of them."""
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
) -> tuple[PhaseResult, dict[Metric, float]]:
    """The heads phase: fit the heads to what the frozen base makes of texts. Also returns the metrics on the cut."""
    examples = task.examples
    if network.encoder is not None and examples.texts is not None:
        pooled = pooled_states(network.encoder, examples.texts, task.precision, task.folder.parent / POOLED)
        examples = examples.with_pooled(pooled)
    light = without_backbone(network)
    phase = Phase(
        "heads", examples, task.split, task.tiers, task.config.heads, "fp32", task.folder / "heads",
        group_by_length=task.config.group_by_length, callbacks=tuple(callbacks),
    )  # fmt: skip
    result = train(light, phase, task.config)
    return result, evaluate_in_memory(light, examples, task.split.cut, task.tiers)


def tune(
    task: TrainingTask, network: UserValueNetwork, encoder: TextEncoder, callbacks: Sequence[TrainerCallback] = ()
) -> PhaseResult:
    """The tuning phase: train base and heads as ``tuning`` says. An adapter stays in ``encoder``, unmerged."""
    tuning = task.config.tuning
    if tuning.start == "new_heads":
        _draw_new_weights(encoder.beside_backbone()["projection"], network.decider)
    set_dropout(encoder.backbone, tuning.dropout)
    freeze(encoder.backbone, tuning)
    if tuning.adapter is not None:
        steps = total_steps(len(task.split.fit), tuning.optimiser)
        encoder.backbone = add_adapter(encoder.backbone, tuning.adapter, steps)
    phase = Phase(
        "tuning", task.examples, task.split, task.tiers, tuning.optimiser, task.precision, task.folder / "tuning",
        group_by_length=task.config.group_by_length, layer_decay=tuning.layer_decay, callbacks=tuple(callbacks),
    )  # fmt: skip
    result = train(network, _with_rank_pruning(phase, tuning.adapter, encoder.backbone), task.config)
    if ranks := final_ranks(encoder.backbone):
        mean = sum(ranks.values()) / len(ranks)
        logger.info("AdaLoRA ended with a mean rank of %.1f over %d matrices", mean, len(ranks))
    return result


def _with_rank_pruning(phase: Phase, adapter: Adapter | None, backbone: nn.Module) -> Phase:
    """``phase`` with the callback and the loss that AdaLoRA alone needs."""
    if not isinstance(adapter, AdaLora):
        return phase
    weight = adapter.orthogonality
    return replace(
        phase,
        callbacks=(*phase.callbacks, RankUpdates(backbone)),
        extra_loss=lambda: orthogonality(backbone, weight),
    )


def _draw_new_weights(*modules: nn.Module) -> None:
    """Give new random weights to all layers of ``modules``; the statistics of the numbers stay."""
    for parent in modules:
        for module in parent.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm):
                module.reset_parameters()
