"""The model on Spark's executors: sent to each once, loaded once in each Python worker."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from pyspark import Accumulator, SparkContext, SparkFiles, TaskContext

from ulvspark.contract.storage.scratch import scratch_folder
from ulvspark.model.bundle.bundle import load_opened
from ulvspark.model.bundle.files import BundleFiles, open_bundle
from ulvspark.model.bundle.loading import load_event_encoder, load_scorer
from ulvspark.model.inference.scorer import Scorer
from ulvspark.model.network.sequence import EventEncoder
from ulvspark.model.network.text_vectors import TextVectors
from ulvspark.model.predictor import Predictor


@dataclass(frozen=True)
class ShippedModel:
    """The names under which executors find a bundle and, for unit ``event``, the vectors of texts."""

    bundle: str
    text_vectors: str | None = None


def ship_bundle(context: SparkContext, bundle: Path, version: str) -> str:
    """Send the folder of a bundle to every executor; returns the name it is found by.

    The archive stays until this process ends, since an executor may join at any time and fetches it with its first
    task.
    """
    name = f"bundle-{version}"
    scratch = Path(mkdtemp(dir=scratch_folder()))
    context.addArchive(f"{shutil.make_archive(str(scratch / name), 'zip', bundle)}#{name}")
    return name


def predictor(name: str) -> Predictor:
    """The shipped bundle, ready to read texts on this task's GPU or CPU. Call it only inside a task."""
    return _predictor(name, _device())


@lru_cache(maxsize=1)
def _predictor(name: str, device: torch.device) -> Predictor:
    """Loaded once a worker.

    The cache must live in an importable module: functions of a job script are pickled by value, each with an
    empty cache of its own.
    """
    loaded = Predictor(load_opened(_files(name), device), device)
    if device.type != "cpu":
        # The driver's self-test ran on a CPU; vectors that a GPU computes wrongly would be kept.
        loaded.self_test()
    return loaded


@contextmanager
def counted_tokens(name: str, tokens: "Accumulator[int]") -> Iterator[None]:
    """Add to ``tokens`` what the bundle's BERT reads in this block. Use it only inside a task."""
    reader = predictor(name).reader
    assert reader is not None  # noqa: S101 - a bundle without text reads nothing
    before = reader.engine.tokens
    yield
    tokens.add(reader.engine.tokens - before)


@lru_cache(maxsize=1)
def event_encoder(name: str) -> EventEncoder:
    """The part of a shipped bundle of unit ``event`` that reads users. Call it only inside a task."""
    return load_event_encoder(_files(name))


@lru_cache(maxsize=1)
def scorer(name: str) -> Scorer:
    """The part of a shipped bundle that turns vectors and numbers into scores. Call it only inside a task."""
    return load_scorer(_files(name))


def _device() -> torch.device:
    """The GPU that Spark gave this task, else the CPU: without a share each, all workers would load one GPU."""
    task = TaskContext.get()
    given = task.resources().get("gpu") if task is not None else None
    return torch.device("cpu") if given is None else torch.device("cuda", int(given.addresses[0]))


@lru_cache(maxsize=1)
def _files(name: str) -> BundleFiles:
    """The files of the shipped bundle, each checked once a worker. Also limits torch to the cores of this task."""
    task = TaskContext.get()
    if task is not None:
        torch.set_num_threads(task.cpus())
    return open_bundle(SparkFiles.get(name))


def text_vector_files(name: str) -> tuple[str, str]:
    """The names of the files that hold the shipped keys and states of texts."""
    return f"{name}-keys.npy", f"{name}-states.npy"


@lru_cache(maxsize=1)
def text_vectors(name: str) -> TextVectors:
    """The shipped vectors of texts, mapped into memory, so that the workers of a host share one copy.

    Call it only inside a task.
    """
    return TextVectors(*(np.load(SparkFiles.get(file), mmap_mode="r") for file in text_vector_files(name)))
