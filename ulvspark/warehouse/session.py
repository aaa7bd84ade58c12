"""The Spark session: the same settings on a laptop, under spark-submit and in tests."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from pyspark import SparkContext
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from ulvspark.contract.errors import ExpectedError
from ulvspark.warehouse.fit_to_size import SMALL_DATA_SETTINGS, is_small
from ulvspark.warehouse.jvm import delta_settings, start_spark

SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # One meaning of an instant everywhere; local time enters only through named time zones.
    "spark.sql.session.timeZone": "UTC",
    # A bad value in a company's row becomes a null that quarantine can name, instead of ending the night.
    "spark.sql.ansi.enabled": "false",
    # So does a key that a map of a company's row has twice.
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    # Files written by pandas hold nanoseconds, which Spark's timestamp does not; a mapping converts the number.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # The model is cached in the worker process, so workers must outlive their tasks.
    "spark.python.worker.reuse": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Arrays are cut out of columns of bytes by offsets of 32 bits.
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    # With a limit, Spark asks for a batch's bytes after every row, which of a column of lists takes longer each time.
    "spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1),
    # Else memory of Python workers goes unseen.
    "spark.executor.processTreeMetrics.enabled": "true",
}

RESIDENT = ("ProcessTreeJVMRSSMemory", "ProcessTreePythonRSSMemory")
"""Metrics of an executor and its children."""

LAPTOP_SETTINGS = {
    "spark.master": "local[*]",
    "spark.driver.memory": "3g",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "4",
    # Shuffles begin in so many parts, each small enough to sort in memory; what little there is gets joined again.
    "spark.sql.adaptive.coalescePartitions.initialPartitionNum": "32",
    "spark.databricks.delta.snapshotPartitions": "2",
}
"""Used only when no master is given from outside: one machine needs neither many partitions nor a user interface."""


def get_session(app: str, root: str = "", reads: Sequence[str] = ()) -> SparkSession:
    """The running session, or a new one: on the master given by spark-submit, else on all cores of this machine.

    ``root`` is the warehouse's address: support for S3 is loaded only when it begins with s3a://. ``reads`` are the
    files and folders that the job reads: where they hold little, a Spark that starts here is set up for small data.

    Raises ExpectedError when Spark cannot start, or is running and starts a new Python worker for each task.
    """
    if _starts_here():
        start_spark({"spark.app.name": app, **_local_settings(reads), **delta_settings(root.startswith("s3a://"))})
    builder = SparkSession.builder.appName(app)
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    _check_worker_reuse(session)
    _silence_loggers()
    return session


def shuffled_bytes(session: SparkSession) -> int:
    """Bytes that all tasks of the session have written for others to read."""
    context: Any = session.sparkContext._jsc
    executors = context.sc().statusStore().executorList(False)
    return sum(executors.apply(number).totalShuffleWrite() for number in range(executors.size()))


def peak_memory_gb(session: SparkSession) -> float:
    """The most memory that one executor has taken, its Python workers' with it, in GB (2^30 bytes); 0 if not known.

    Resident pages, so that those which workers share count once each. Executors report with their heartbeats.
    """
    context: Any = session.sparkContext._jsc
    executors = context.sc().statusStore().executorList(False)
    peaks = [executors.apply(number).peakMemoryMetrics() for number in range(executors.size())]
    taken = [sum(peak.get().getMetricValue(name) for name in RESIDENT) for peak in peaks if peak.isDefined()]
    return max(taken, default=0) / 2**30


def _starts_here() -> bool:
    """Whether there is no JVM yet: spark-submit starts one before this process, and the first session starts one."""
    return "PYSPARK_GATEWAY_PORT" not in os.environ and SparkContext._gateway is None


def _local_settings(reads: Sequence[str]) -> dict[str, str]:
    # The workers' interpreter is this one; spark.pyspark.python is only read by spark-submit.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = SETTINGS | {"spark.log.level": "ERROR"}
    if "MASTER" in os.environ or "--master" in os.environ.get("PYSPARK_SUBMIT_ARGS", ""):
        return settings
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return settings | LAPTOP_SETTINGS | (SMALL_DATA_SETTINGS if is_small(reads) else {})


def _silence_loggers() -> None:
    """Report each error once, in one line: PySpark would log a stack trace for each mistake in an SQL expression."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("py4j").setLevel(logging.WARNING)


def _check_worker_reuse(session: SparkSession) -> None:
    # What the context was started with: the session's own settings are those that were asked for just now.
    if session.sparkContext.getConf().get("spark.python.worker.reuse", "true") != "true":
        raise ExpectedError("spark.python.worker.reuse is off, so every task would load the model; set it to true")
