"""Settings for small data: with little to read, starting Spark and compiling its queries is nearly all of a job."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

SMALL_BYTES = 8 * 2**20
"""A job that reads no more than this from files is given ``SMALL_DATA_SETTINGS``."""

SMALL_DATA_SETTINGS = {
    # Java's optimizing compiler would take more time than it saves, and a parallel collector has little to collect.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    # So would compiling each query to Java code.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # Planning is most of a query: leave out the search for further filters, and the checks of Spark's own rules.
    "spark.sql.constraintPropagation.enabled": "false",
    "spark.sql.lightweightPlanChangeValidation": "false",
    # Each task costs more than its few rows.
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.coalescePartitions.initialPartitionNum": "1",
    "spark.sql.leafNodeDefaultParallelism": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
}
"""Settings under which the same results come sooner from little data. The JVM takes some of them at its start alone."""


def is_small(reads: Sequence[str]) -> bool:
    """Whether a job that reads these files and folders reads little.

    An address whose size is not known without Spark (s3a://..., catalog:...) counts as large; a folder that is not
    there yet as empty. Of a Delta table all files count, those of old versions too.
    """
    if not reads or any("://" in path or path.startswith("catalog:") for path in reads):
        return False
    size = 0
    for number in _file_sizes(reads):
        size += number
        if size > SMALL_BYTES:
            return False
    return True


def _file_sizes(paths: Sequence[str]) -> Iterator[int]:
    for path in map(Path, paths):
        if path.is_file():
            yield path.stat().st_size
        for folder, _, names in os.walk(path):
            for name in names:
                try:
                    yield Path(folder, name).stat().st_size
                except FileNotFoundError:
                    # Another job has just removed it.
                    continue
