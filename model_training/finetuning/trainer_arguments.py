"""Translate our configuration into the arguments of Hugging Face Trainer; nothing else knows their names."""

import math
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from model_training.finetuning.config import Optimiser
from model_training.runs.devices import processes
from ulvspark.contract.errors import ExpectedError

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


def total_steps(rows: int, optimiser: Optimiser) -> int:
    """Optimiser steps of a phase that trains on ``rows`` rows."""
    return math.ceil(math.ceil(rows / optimiser.batch_size) * optimiser.epochs)


def per_device(optimiser: Optimiser) -> int:
    """Rows of one batch on one device. Raises ExpectedError where a step cannot be split evenly."""
    shares = int(processes().num_processes) * optimiser.accumulation
    if optimiser.batch_size % shares:
        raise ExpectedError(
            f"batch_size {optimiser.batch_size} cannot be split over {processes().num_processes} devices and "
            f"{optimiser.accumulation} accumulated batches; make it a multiple of {shares}"
        )
    return optimiser.batch_size // shares


def training_arguments(
    folder: Path, optimiser: Optimiser, rows: int, precision: str, seed: int, tf32: bool, **rest: Any  # noqa: ANN401
) -> TrainingArguments:  # fmt: skip
    """Arguments for training on ``rows`` rows, with checkpoints in ``folder``; ``rest`` as Trainer has it."""
    interval = max(1, math.ceil(math.ceil(rows / optimiser.batch_size) / optimiser.evaluations_per_epoch))
    on_gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=per_device(optimiser),
        per_device_eval_batch_size=max(64, optimiser.batch_size),
        gradient_accumulation_steps=optimiser.accumulation,
        num_train_epochs=optimiser.epochs,
        # Trainer gets our optimiser; its trackers log these two.
        learning_rate=optimiser.learning_rate,
        weight_decay=optimiser.weight_decay,
        lr_scheduler_type=SCHEDULES[optimiser.schedule],
        warmup_steps=math.ceil(total_steps(rows, optimiser) * optimiser.warmup_share),
        max_grad_norm=optimiser.clip_norm,
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=2,
        logging_steps=max(1, interval // 10),
        load_best_model_at_end=True,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        tf32=tf32 if on_gpu else None,
        use_cpu=not on_gpu,
        seed=seed,
        data_seed=seed,
        remove_unused_columns=False,
        disable_tqdm=True,
        restore_callback_states_from_checkpoint=True,
        ddp_find_unused_parameters=False,
        **rest,
    )
