"""The model on the executors: shipped once, loaded once a worker process."""

import atexit
import shutil
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import numpy as np
import torch
from pyspark import SparkContext, SparkFiles, TaskContext

from ulvspark.model.bundle.loading import load_event_encoder, load_scorer
from ulvspark.model.inference.scorer import Scorer
from ulvspark.model.network.sequence import EventEncoder
from ulvspark.model.network.text_vectors import TextVectors

if TYPE_CHECKING:
    from ulvspark.model.predictor import Predictor


def ship(context: SparkContext, bundle: Path, version: str) -> str:
    """Send a bundle folder to every executor; gives the name for ``predictor``.

    The archive stays until this process ends: an executor fetches it with its first task, whatever that task is for,
    and one may join at any time.
    """
    name = f"bundle-{version}"
    scratch = Path(mkdtemp(prefix="ulvspark-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    context.addArchive(f"{shutil.make_archive(str(scratch / name), 'zip', bundle)}#{name}")
    return name


def predictor(name: str) -> "Predictor":
    """The shipped bundle, ready to read texts on this task's GPU or CPU. Only inside a task."""
    return _predictor(name, _device())


@lru_cache(maxsize=1)
def _predictor(name: str, device: torch.device) -> "Predictor":
    """Loaded once a worker.

    The cache must live in an importable module: functions of a job script are pickled by value, each with an
    empty cache of its own.
    """
    # Takes seconds to import, and the stages that run for everyone read no text.
    from ulvspark.model.predictor import Predictor  # noqa: PLC0415

    found = Predictor.load(_folder(name), device=device)
    if device.type != "cpu":
        # The driver tests the bundle on its own processor. What a GPU got wrong would be kept as users' vectors.
        found.self_test()
    return found


@lru_cache(maxsize=1)
def event_encoder(name: str) -> EventEncoder:
    """Of a shipped bundle of unit ``event``: what reads users. Only inside a task."""
    return load_event_encoder(_folder(name))


@lru_cache(maxsize=1)
def scorer(name: str) -> Scorer:
    """Of the shipped bundle: what turns vectors and numbers into scores. Only inside a task."""
    return load_scorer(_folder(name))


def _device() -> torch.device:
    """The GPU that Spark gave to this task, else the CPU: on a GPU that nobody handed out, all workers would meet."""
    task = TaskContext.get()
    given = task.resources().get("gpu") if task is not None else None
    return torch.device("cpu") if given is None else torch.device("cuda", int(given.addresses[0]))


def _folder(name: str) -> Path:
    """Where the shipped bundle lies; torch is to compute with the task's cores from now on."""
    task = TaskContext.get()
    if task is not None:
        torch.set_num_threads(task.cpus())
    return Path(SparkFiles.get(name))


def files_of(name: str) -> tuple[str, str]:
    """The files in which vectors of texts are shipped: their keys and their states."""
    return f"{name}-keys.npy", f"{name}-states.npy"


@lru_cache(maxsize=1)
def text_vectors(name: str) -> TextVectors:
    """The shipped vectors of texts, memory-mapped: the workers of a host share one copy. Only inside a task."""
    return TextVectors(*(np.load(SparkFiles.get(file), mmap_mode="r") for file in files_of(name)))
