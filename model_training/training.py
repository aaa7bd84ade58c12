"""One stage of training: Hugging Face Trainer around our network, with what we add to it."""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.utils.data import Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.integrations.integration_utils import TensorBoardCallback

from model_training.config import Optimiser, TrainConfig
from model_training.dataset import Split
from model_training.devices import processes
from model_training.examples import Examples, take
from model_training.metrics import METRICS, measure
from model_training.progress import Progress
from model_training.runs import latest_checkpoint
from model_training.trackers import check_trackers
from model_training.tuning.freezing import build_optimiser, count_parameters
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import Head, TierSpec
from ulvspark.model.decisions import read_outputs
from ulvspark.model.network import UserValueNetwork

MEGABATCH = 50
"""Batches among which rows are sorted by length: enough to save padding, few enough to stay random."""

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


def total_steps(rows: int, optimiser: Optimiser) -> int:
    """Optimiser steps of a stage that trains on ``rows`` rows."""
    return math.ceil(math.ceil(rows / optimiser.batch_size) * optimiser.epochs)


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
    optimiser, validation = stage.optimiser, config.validation
    steps_an_epoch = math.ceil(len(stage.split.fit) / optimiser.batch_size)
    interval = max(1, math.ceil(steps_an_epoch / optimiser.evaluations_per_epoch))
    return TrainingArguments(
        output_dir=str(stage.folder),
        per_device_train_batch_size=per_device(optimiser),
        per_device_eval_batch_size=max(64, optimiser.batch_size),
        gradient_accumulation_steps=optimiser.accumulation,
        num_train_epochs=optimiser.epochs,
        lr_scheduler_type=optimiser.schedule if optimiser.schedule != "constant" else "constant_with_warmup",
        warmup_steps=_warmup(total_steps(len(stage.split.fit), optimiser), optimiser.warmup_share),
        max_grad_norm=optimiser.clip_norm,
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=2,
        logging_steps=max(1, interval // 10),
        load_best_model_at_end=True,
        metric_for_best_model=validation.metric,
        greater_is_better=METRICS[validation.metric].better_when_greater,
        bf16=stage.precision == "bf16",
        fp16=stage.precision == "fp16",
        tf32=config.tf32 if torch.cuda.is_available() else None,
        use_cpu=not torch.cuda.is_available(),
        seed=config.seed,
        data_seed=config.seed,
        label_names=list(stage.examples.heads),
        remove_unused_columns=False,
        disable_tqdm=True,
        restore_callback_states_from_checkpoint=True,
        ddp_find_unused_parameters=False,
        report_to=check_trackers(config.trackers),
        run_name=f"{stage.folder.parent.name}-{stage.name}",
        activation_checkpointing=config.gradient_checkpointing and stage.examples.pooled is None,
    )


def per_device(optimiser: Optimiser) -> int:
    """Texts of one batch on one device. Raises ExpectedError where a step cannot be split evenly."""
    shares = processes().num_processes * optimiser.accumulation
    if optimiser.batch_size % shares:
        raise ExpectedError(
            f"batch_size {optimiser.batch_size} cannot be split over {processes().num_processes} devices and "
            f"{optimiser.accumulation} accumulated batches; make it a multiple of {shares}"
        )
    return optimiser.batch_size // int(shares)


def _warmup(steps: int, share: float) -> int:
    return math.ceil(steps * share)


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
    outcome, heads = take(stage.examples.outcome, held_out), config.network.heads

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        outputs = prediction.predictions if len(heads) > 1 else (prediction.predictions,)
        raw: dict[Head, Tensor] = {
            head: torch.from_numpy(each).double() for head, each in zip(heads, outputs, strict=True)
        }
        found = measure(outcome, read_outputs(raw, stage.tiers, 1.0), heads)
        if config.validation.metric not in (*found, "loss"):
            raise ExpectedError(
                f"validation.metric {config.validation.metric} is undefined, since all held-out users did the same or "
                "got the same score; choose another metric, a larger validation.held_out_share or a lower learning rate"
            )
        return {str(name): value for name, value in found.items()}

    return compute


class UserValueTrainer(Trainer):
    """Trainer with our order of rows and, where the stage has one, an extra loss."""

    def __init__(self, network: nn.Module, stage: Stage, **rest: Any) -> None:  # noqa: ANN401 - Trainer's own
        self._stage = stage
        super().__init__(network, **rest)

    def _get_train_sampler(self, train_dataset: object = None) -> "LengthGrouped":
        rows = self._stage.split.fit
        lengths = self._stage.examples.lengths(rows) if self._stage.group_by_length else np.ones_like(rows)
        return LengthGrouped(lengths, self._stage.optimiser.batch_size, self.args.seed)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        result = super().compute_loss(model, inputs, *rest, **named)
        if self._stage.extra_loss is None or not model.training:
            return result
        if isinstance(result, tuple):
            return result[0] + self._stage.extra_loss(), result[1]
        return result + self._stage.extra_loss()


class LengthGrouped(Sampler[int]):
    """Rows in random order, but batches of similar length; the same order in an epoch whenever it is run."""

    def __init__(self, lengths: Rows, batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed, self._epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Trainer says which epoch begins, also when it goes on from a checkpoint."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        dice = np.random.default_rng((self._seed, self._epoch))
        order = dice.permutation(len(self._lengths))
        size = self._batch_size * MEGABATCH
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        ordered = np.concatenate([group[np.argsort(-self._lengths[group], kind="stable")] for group in groups])
        yield from _shuffled_batches(ordered, self._batch_size, dice).tolist()


def _shuffled_batches(order: Rows, batch_size: int, dice: np.random.Generator) -> Rows:
    whole = len(order) // batch_size * batch_size
    batches = order[:whole].reshape(-1, batch_size)
    return np.concatenate([dice.permutation(batches).ravel(), order[whole:]])
