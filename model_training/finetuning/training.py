"""One stage of training: Hugging Face Trainer around our network, with what we add to it."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
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

from model_training.data.dataset import Split
from model_training.data.examples import Examples
from model_training.data.ordering import OrderedTrainer
from model_training.evaluation.metrics import METRICS, measure
from model_training.finetuning.arguments import training_arguments
from model_training.finetuning.config import Optimiser, TrainConfig
from model_training.finetuning.freezing import build_optimiser, count_parameters
from model_training.runs.devices import processes
from model_training.runs.folders import latest_checkpoint
from model_training.runs.progress import Progress
from model_training.runs.trackers import check_trackers
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TierSpec
from ulvspark.model.network.network import UserValueNetwork
from ulvspark.model.parts.predictions import predict, to_scores

LOG, WEIGHTS = "log.json", "weights.safetensors"

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """What one stage trains on and how."""

    name: str
    examples: Examples
    split: Split
    tiers: TierSpec
    optimiser: Optimiser
    precision: str
    folder: Path
    """Checkpoints and logs; a stage that was killed goes on from the newest checkpoint here."""
    group_by_length: bool = False
    layer_decay: float | None = None
    callbacks: tuple[TrainerCallback, ...] = ()
    extra_loss: Callable[[], Tensor] | None = None
    """Added to the loss of every batch, such as a regulariser."""


@dataclass(frozen=True)
class Trained:
    """What came of a stage."""

    log: list[dict[str, float]]
    """Losses and held-out metrics (``eval_...``) by step."""
    steps: int
    seconds: float
    trainable: int
    """How many weights learned."""


def train(network: UserValueNetwork, stage: Stage, config: TrainConfig) -> Trained:
    """Train what of ``network`` requires gradients; it ends with the weights of the best checkpoint.

    A stage that ended in an earlier start of the run is not repeated.
    """
    if (stage.folder / LOG).exists():
        load_model(network, stage.folder / WEIGHTS)
        return Trained(**json.loads((stage.folder / LOG).read_bytes()))
    started = time.perf_counter()
    trainable, parameters = count_parameters(network)
    if processes().is_main_process:
        print(f"{stage.name}: {trainable:,} of {parameters:,} parameters learn ({trainable / parameters:.2%})")
    trainer = _trainer(network, stage, config)
    trainer.train(resume_from_checkpoint=latest_checkpoint(stage.folder))
    log = [{name: float(value) for name, value in entry.items()} for entry in trainer.state.log_history]
    trained = Trained(log, trainer.state.global_step, time.perf_counter() - started, trainable)
    if processes().is_main_process:
        _conclude(network, stage, trained)
    processes().wait_for_everyone()
    return trained


def _conclude(network: UserValueNetwork, stage: Stage, trained: Trained) -> None:
    """Keep the weights instead of the checkpoints; the log is written last."""
    save_model(network, str(stage.folder / WEIGHTS))
    (stage.folder / LOG).write_text(json.dumps(asdict(trained)), encoding="utf-8")
    for checkpoint in stage.folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _trainer(network: UserValueNetwork, stage: Stage, config: TrainConfig) -> "UserValueTrainer":
    held_out = _longest_first(stage.split.held_out, stage.examples)
    trainer = UserValueTrainer(
        network,
        stage,
        args=_arguments(stage, config),
        data_collator=stage.examples.batch,
        train_dataset=stage.split.fit.tolist(),
        eval_dataset=held_out.tolist(),
        compute_metrics=_held_out_metrics(stage, held_out, config),
        callbacks=_callbacks(stage, config),
        optimizers=(build_optimiser(network, stage.optimiser, stage.layer_decay), None),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _longest_first(rows: Rows, examples: Examples) -> Rows:
    return rows[np.argsort(-examples.lengths(rows), kind="stable")]


def _arguments(stage: Stage, config: TrainConfig) -> TrainingArguments:
    metric = config.validation.metric
    return training_arguments(
        stage.folder, stage.optimiser, len(stage.split.fit), stage.precision, config.seed, config.tf32,
        metric_for_best_model=metric,
        greater_is_better=METRICS[metric].better_when_greater,
        label_names=["labels"],
        report_to=check_trackers(config.trackers),
        run_name=f"{stage.folder.parent.name}-{stage.name}",
        activation_checkpointing=config.gradient_checkpointing and stage.examples.pooled is None,
    )  # fmt: skip


def _callbacks(stage: Stage, config: TrainConfig) -> list[TrainerCallback]:
    found: list[TrainerCallback] = [*stage.callbacks]
    if processes().is_main_process:
        found.append(Progress(stage.name, config.validation.metric))
        writer: Any = SummaryWriter(str(stage.folder / "tensorboard"))
        found.append(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]
    if config.validation.patience is not None:
        found.append(EarlyStoppingCallback(config.validation.patience))
    return found


def _held_out_metrics(
    stage: Stage, held_out: Rows, config: TrainConfig
) -> Callable[[EvalPrediction], dict[str, float]]:
    outcome, heads = stage.examples.outcome.take(held_out), config.network.heads

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        outputs = prediction.predictions if len(heads) > 1 else (prediction.predictions,)
        raw = {head: torch.from_numpy(each).double() for head, each in zip(heads, outputs, strict=True)}
        found = measure(outcome, to_scores(predict(raw), stage.tiers, platform_scale=1.0))
        if config.validation.metric not in (*found, "loss"):
            raise ExpectedError(
                f"validation.metric {config.validation.metric} is undefined, since all held-out users did the same or "
                "got the same score; choose another metric, a larger validation.held_out_share or a lower learning rate"
            )
        return {str(name): value for name, value in found.items()}

    return compute


class UserValueTrainer(OrderedTrainer):
    """Trainer with our order of rows and, where the stage has one, an extra loss."""

    def __init__(self, network: nn.Module, stage: Stage, **rest: Any) -> None:  # noqa: ANN401 - Trainer's own
        self._stage = stage
        rows = stage.split.fit
        lengths = stage.examples.lengths(rows) if stage.group_by_length else np.ones_like(rows)
        super().__init__(network, lengths, stage.optimiser.batch_size, **rest)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        result = super().compute_loss(model, inputs, *rest, **named)
        if self._stage.extra_loss is None or not model.training:
            return result
        if isinstance(result, tuple):
            return result[0] + self._stage.extra_loss(), result[1]
        return result + self._stage.extra_loss()
