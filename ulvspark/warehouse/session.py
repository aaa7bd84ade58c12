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
from ulvspark.contract.storage.scratch import scratch_folder
from ulvspark.warehouse.fit_to_size import SMALL_DATA_SETTINGS, is_small
from ulvspark.warehouse.jvm import delta_settings, start_spark
from ulvspark.warehouse.outages import S3A_SETTINGS

SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # All times are instants; local time enters only through named time zones.
    "spark.sql.session.timeZone": "UTC",
    # A bad value in a source row becomes null, for which quarantine has a reason, instead of ending the job.
    "spark.sql.ansi.enabled": "false",
    # A key that occurs twice in a map keeps its last value, instead of ending the job.
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    # Spark by itself reads texts in six encodings alone, without the one that Windows writes.
    "spark.sql.legacy.javaCharsets": "true",
    # pandas writes nanoseconds, which Spark's timestamps cannot hold: read as numbers, which a mapping converts.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # Java never compiles a method of more than 8,000 bytes of bytecode: a query whose code is longer runs three times
    # as fast in the form that Spark splits into small methods.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # Cached rows are compressed as blocks: choosing an encoding for each column of them takes as long as mapping them.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    "spark.rdd.compress": "true",
    # Small partitions of cached rows are joined to larger ones, as those of other rows are.
    "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning": "true",
    # Of a table that is compacted, files of this size stay as they are.
    "spark.databricks.delta.optimize.minFileSize": str(64 * 2**20),
    "spark.databricks.delta.optimize.maxFileSize": str(128 * 2**20),
    # The model is cached in the worker process, so workers must outlive their tasks.
    "spark.python.worker.reuse": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Our code reads the 32-bit offsets of Arrow's byte columns.
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    # With a limit, Spark measures the batch after every row, which gets slower with each row of a column of lists.
    "spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1),
    # Each call on a frame would note the line of Python that made it; our errors name the mapping's column instead.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # Without these metrics the memory of Python workers is not reported.
    "spark.executor.processTreeMetrics.enabled": "true",
}

MEMORY_METRICS = ("ProcessTreeJVMRSSMemory", "ProcessTreePythonRSSMemory")
"""Resident memory of an executor's JVM and of its Python workers."""

LAPTOP_SETTINGS = {
    "spark.master": "local[*]",
    "spark.driver.memory": "3g",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "4",
    # Shuffles start with many partitions, each small enough to sort in memory; Spark then merges the small ones.
    "spark.sql.adaptive.coalescePartitions.initialPartitionNum": "32",
    "spark.databricks.delta.snapshotPartitions": "2",
}
"""For a Spark that starts here without a given master: one machine needs few partitions and no user interface."""


def get_session(app: str, root: str = "", reads: Sequence[str] = (), makes_little: bool = False) -> SparkSession:
    """The running session, or a new one: on the master given by spark-submit, else on all cores of this machine.

    ``root`` is the warehouse's address: support for S3 is loaded only when it begins with s3a://. ``reads`` are the
    files and folders that the job reads: where they hold little, a Spark that starts here is set up for small data; so
    it is where the job ``makes_little`` out of nothing.

    Raises ExpectedError when Spark cannot start, or is running and starts a new Python worker for each task.
    """
    with_s3 = root.startswith("s3a://")
    everywhere = SETTINGS | (S3A_SETTINGS if with_s3 else {})
    if _starts_here():
        local = _local_settings(makes_little or is_small(reads))
        start_spark({"spark.app.name": app, **everywhere, **local, **delta_settings(with_s3)})
    builder = SparkSession.builder.appName(app)
    for key, value in everywhere.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    _check_worker_reuse(session)
    _silence_loggers()
    return session


def shuffled_bytes(session: SparkSession) -> int:
    """Bytes that all tasks of the session have written to shuffles."""
    context: Any = session.sparkContext._jsc
    executors = context.sc().statusStore().executorList(False)
    return sum(executors.apply(number).totalShuffleWrite() for number in range(executors.size()))


def peak_memory_gb(session: SparkSession) -> float:
    """The largest memory of an executor with its Python workers, in GB (2^30 bytes); 0 if not reported yet.

    This is resident memory, so pages that workers share are counted once for each. Executors report it with their
    heartbeats.
    """
    context: Any = session.sparkContext._jsc
    executors = context.sc().statusStore().executorList(False)
    peaks = [executors.apply(number).peakMemoryMetrics() for number in range(executors.size())]
    taken = [sum(peak.get().getMetricValue(name) for name in MEMORY_METRICS) for peak in peaks if peak.isDefined()]
    return max(taken, default=0) / 2**30


def _starts_here() -> bool:
    """Whether there is no JVM yet: spark-submit starts one before this process, and the first session starts one."""
    return "PYSPARK_GATEWAY_PORT" not in os.environ and SparkContext._gateway is None


def _local_settings(small: bool) -> dict[str, str]:
    # Workers run this interpreter; only spark-submit reads spark.pyspark.python.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = SETTINGS | {"spark.log.level": "ERROR", **_scratch_settings()}
    if "MASTER" in os.environ or "--master" in os.environ.get("PYSPARK_SUBMIT_ARGS", ""):
        return settings
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return settings | LAPTOP_SETTINGS | (SMALL_DATA_SETTINGS if small else {})


def _scratch_settings() -> dict[str, str]:
    """Shuffles, spilled and cached rows, sent files and uploads of this machine go to the program's scratch folder.

    On a cluster its manager says where executors have theirs, and removes them.
    """
    folder = str(scratch_folder())
    return {
        "spark.local.dir": folder,
        "spark.hadoop.hadoop.tmp.dir": folder,
        "spark.hadoop.fs.s3a.buffer.dir": folder,
    }


def _silence_loggers() -> None:
    """Report each error once, in one line: PySpark would log a stack trace for each mistake in an SQL expression."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("py4j").setLevel(logging.WARNING)


def _check_worker_reuse(session: SparkSession) -> None:
    # The context has the value it was started with; the session has the one that was just set.
    if session.sparkContext.getConf().get("spark.python.worker.reuse", "true") != "true":
        raise ExpectedError("spark.python.worker.reuse is off, so every task would load the model; set it to true")
