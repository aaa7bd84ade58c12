"""The model on the executors: shipped once, loaded once a worker process."""

import atexit
import shutil
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from pyspark import SparkContext, SparkFiles, TaskContext

from ulvspark.model.predictor import Predictor
from ulvspark.model.text_vectors import TextVectors


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


@lru_cache(maxsize=1)
def predictor(name: str) -> Predictor:
    """The shipped bundle, ready to use on this worker. Only inside a task.

    The cache must live in an importable module: functions of a job script are pickled by value, each with an
    empty cache of its own.
    """
    task = TaskContext.get()
    return Predictor.load(Path(SparkFiles.get(name)), threads=task.cpus() if task else None)


def files_of(name: str) -> tuple[str, str]:
    """The files in which vectors of texts are shipped: their keys and their states."""
    return f"{name}-keys.npy", f"{name}-states.npy"


@lru_cache(maxsize=1)
def text_vectors(name: str) -> TextVectors:
    """The shipped vectors of texts, memory-mapped: the workers of a host share one copy. Only inside a task."""
    return TextVectors(*(np.load(SparkFiles.get(file), mmap_mode="r") for file in files_of(name)))
