"""The model on the executors: shipped once, loaded once a worker process."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark import SparkContext, SparkFiles, TaskContext

from ulvspark.model.predictor import Predictor


@contextmanager
def shipped(context: SparkContext, bundle: Path, version: str) -> Iterator[str]:
    """Send a bundle folder to every executor, for as long as the block lasts; gives the name for ``predictor``.

    Executors that join meanwhile fetch the bundle with their first task.
    """
    name = f"bundle-{version}"
    with TemporaryDirectory() as scratch:
        archive = shutil.make_archive(str(Path(scratch) / name), "zip", bundle)
        context.addArchive(f"{archive}#{name}")
        yield name


@lru_cache(maxsize=1)
def predictor(name: str) -> Predictor:
    """The shipped bundle, ready to use on this worker. Only inside a task.

    The cache must live in an importable module: functions of a job script are pickled by value, each with an
    empty cache of its own.
    """
    task = TaskContext.get()
    return Predictor.load(Path(SparkFiles.get(name)), threads=task.cpus() if task else None)
