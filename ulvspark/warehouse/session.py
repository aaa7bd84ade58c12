"""The Spark session: the same settings on a laptop, under spark-submit and in tests."""

import logging
import os
import sys
from typing import Any

from pyspark.errors import PySparkRuntimeError
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from ulvspark.contract.errors import ExpectedError

DELTA_PACKAGE = "io.delta:delta-spark_4.1_2.13:4.4.0"
S3_PACKAGE = "org.apache.hadoop:hadoop-aws:3.4.2"

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


def get_session(app: str, root: str = "") -> SparkSession:
    """The running session, or a new one: on the master given by spark-submit, else on all cores of this machine.

    ``root`` is the warehouse's: support for S3 is large, so it is fetched only for an s3a:// address.

    Raises ExpectedError when Spark cannot start, or runs already and starts a Python worker for each task.
    """
    builder = SparkSession.builder.appName(app)
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    if _launched_here():
        builder = _on_this_machine(builder, root)
    session = _started(builder)
    session.sparkContext.setLogLevel("ERROR")
    _check_worker_reuse(session)
    _quiet()
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


def _started(builder: SparkSession.Builder) -> SparkSession:
    try:
        return builder.getOrCreate()
    except PySparkRuntimeError as error:
        if error.getCondition() != "JAVA_GATEWAY_EXITED":
            raise
        raise ExpectedError(
            "Spark did not start; its own words are above. It needs Java 17 or 21 (JAVA_HOME), and, where they are not "
            f"cached yet, the packages {DELTA_PACKAGE} and for s3a:// {S3_PACKAGE}"
        ) from None


def _quiet() -> None:
    """Errors are told once, in one line: PySpark would print a stack trace for each mistake in an SQL expression."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("py4j").setLevel(logging.WARNING)


def _launched_here() -> bool:
    """True when this process starts the JVM itself; under spark-submit the JVM started this process."""
    return "PYSPARK_GATEWAY_PORT" not in os.environ


def _on_this_machine(builder: SparkSession.Builder, root: str) -> SparkSession.Builder:
    # Workers take this interpreter; spark.pyspark.python is only read by spark-submit.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    packages = [DELTA_PACKAGE, S3_PACKAGE] if root.startswith("s3a://") else [DELTA_PACKAGE]
    builder = builder.config("spark.jars.packages", ",".join(packages)).config("spark.log.level", "ERROR")
    if "MASTER" not in os.environ:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = builder.master("local[*]")
        for key, value in LAPTOP_SETTINGS.items():
            builder = builder.config(key, value)
    return builder


def _check_worker_reuse(session: SparkSession) -> None:
    # What the context was started with: the session's own settings are those that were asked for just now.
    if session.sparkContext.getConf().get("spark.python.worker.reuse", "true") != "true":
        raise ExpectedError("spark.python.worker.reuse is off, so every task would load the model; set it to true")
