"""Run one phase of training: Hugging Face Trainer with our network, order of rows, metrics and progress."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
)
from transformers.integrations.integration_utils import TensorBoardCallback

from model_training.data.dataset import Rows, Split
from model_training.data.examples import Examples
from model_training.data.ordering import OrderedTrainer
from model_training.evaluation.metrics import METRICS, measure
from model_training.finetuning.config import Optimiser, TrainConfig
from model_training.finetuning.freezing import build_optimiser, count_parameters
from model_training.finetuning.trainer_arguments import training_arguments
from model_training.runs.devices import processes
from model_training.runs.folders import latest_checkpoint
from model_training.runs.trackers import check_trackers
from model_training.runs.training_progress import TrainingProgress
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TierSpec
from ulvspark.model.network.network import UserValueNetwork
from ulvspark.model.parts.predictions import predict, to_scores

LOG, WEIGHTS = "log.json", "weights.safetensors"


@dataclass(frozen=True)
class Phase:
    """What one phase of training learns from, and how."""

    name: str
    examples: Examples
    split: Split
    tiers: TierSpec
    optimiser: Optimiser
    precision: str
    folder: Path
    """Checkpoints and logs; a phase that was killed goes on from the newest checkpoint here."""
    group_by_length: bool = False
    """Whether texts of similar length come into one batch."""
    layer_decay: float | None = None
    callbacks: tuple[TrainerCallback, ...] = ()
    extra_loss: Callable[[], Tensor] | None = None
    """Added to the loss of every batch, such as a regulariser."""


@dataclass(frozen=True)
class PhaseResult:
    """``log.json`` of a phase: how it went."""

    log: list[dict[str, float]]
    """Losses and held-out metrics (``eval_...``) by step."""
    steps: int
    seconds: float
    trainable: int
    """The number of weights that learned."""


def train(network: UserValueNetwork, phase: Phase, config: TrainConfig) -> PhaseResult:
    """Train the weights of ``network`` that require gradients; it ends with those of the best checkpoint.

    A phase that an earlier start of the run completed is not repeated; a killed one goes on.
    """
    if (phase.folder / LOG).exists():
        load_model(network, phase.folder / WEIGHTS)
        return PhaseResult(**json.loads((phase.folder / LOG).read_bytes()))
    started = time.perf_counter()
    trainable, parameters = count_parameters(network)
    if processes().is_main_process:
        print(f"{phase.name}: {trainable:,} of {parameters:,} parameters learn ({trainable / parameters:.2%})")
    trainer = _trainer(network, phase, config)
    trainer.train(resume_from_checkpoint=latest_checkpoint(phase.folder))
    log = [{name: float(value) for name, value in entry.items()} for entry in trainer.state.log_history]
    result = PhaseResult(log, trainer.state.global_step, time.perf_counter() - started, trainable)
    if processes().is_main_process:
        _replace_checkpoints(network, phase, result)
    processes().wait_for_everyone()
    return result


def _replace_checkpoints(network: UserValueNetwork, phase: Phase, result: PhaseResult) -> None:
    """Keep the best weights instead of the checkpoints. The log is written last: it says that the phase is complete."""
    save_model(network, str(phase.folder / WEIGHTS))
    (phase.folder / LOG).write_text(json.dumps(asdict(result)), encoding="utf-8")
    for checkpoint in phase.folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _trainer(network: UserValueNetwork, phase: Phase, config: TrainConfig) -> "UserValueTrainer":
    held_out = _longest_first(phase.split.held_out, phase.examples)
    trainer = UserValueTrainer(
        network,
        phase,
        args=_arguments(phase, config),
        data_collator=phase.examples.batch,
        train_dataset=phase.split.fit.tolist(),
        eval_dataset=held_out.tolist(),
        compute_metrics=_held_out_metrics(phase, held_out, config),
        callbacks=_callbacks(phase, config),
        optimizers=(build_optimiser(network, phase.optimiser, phase.layer_decay), None),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _longest_first(rows: Rows, examples: Examples) -> Rows:
    return rows[np.argsort(-examples.lengths(rows), kind="stable")]


def _arguments(phase: Phase, config: TrainConfig) -> TrainingArguments:
    metric = config.validation.metric
    return training_arguments(
        phase.folder, phase.optimiser, len(phase.split.fit), phase.precision, config.seed, config.tf32,
        metric_for_best_model=metric,
        greater_is_better=METRICS[metric].better_when_greater,
        label_names=["labels"],
        report_to=check_trackers(config.trackers),
        run_name=f"{phase.folder.parent.name}-{phase.name}",
        activation_checkpointing=config.gradient_checkpointing and phase.examples.pooled is None,
    )  # fmt: skip


def _callbacks(phase: Phase, config: TrainConfig) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = [*phase.callbacks]
    if processes().is_main_process:
        callbacks.append(TrainingProgress(phase.name, config.validation.metric))
        writer: Any = SummaryWriter(str(phase.folder / "tensorboard"))
        callbacks.append(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]
    if config.validation.patience is not None:
        callbacks.append(EarlyStoppingCallback(config.validation.patience))
    return callbacks


def _held_out_metrics(
    phase: Phase, held_out: Rows, config: TrainConfig
) -> Callable[[EvalPrediction], dict[str, float]]:
    outcome, heads = phase.examples.outcome.take(held_out), config.network.heads

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        outputs = prediction.predictions if len(heads) > 1 else (prediction.predictions,)
        raw = {head: torch.from_numpy(output).double() for head, output in zip(heads, outputs, strict=True)}
        metrics = measure(outcome, to_scores(predict(raw), phase.tiers, platform_scale=1.0))
        if config.validation.metric not in (*metrics, "loss"):
            raise ExpectedError(
                f"validation.metric {config.validation.metric} is undefined, since all held-out users did the same or "
                "got the same score; choose another metric, a larger validation.held_out_share or a lower learning rate"
            )
        return {str(name): value for name, value in metrics.items()}

    return compute


class UserValueTrainer(OrderedTrainer):
    """Trainer with our order of rows and, where the phase has one, an additional loss."""

    def __init__(self, network: nn.Module, phase: Phase, **rest: Any) -> None:  # noqa: ANN401 - Trainer's own
        self._phase = phase
        rows = phase.split.fit
        lengths = phase.examples.lengths(rows) if phase.group_by_length else np.ones_like(rows)
        super().__init__(network, lengths, phase.optimiser.batch_size, **rest)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        result = super().compute_loss(model, inputs, *rest, **named)
        if self._phase.extra_loss is None or not model.training:
            return result
        if isinstance(result, tuple):
            return result[0] + self._phase.extra_loss(), result[1]
        return result + self._phase.extra_loss()
