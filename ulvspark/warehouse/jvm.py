"""Start Spark's JVM from this process: what it prints goes to a file, and cached jars are not looked up again."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway

from ulvspark.contract.errors import ExpectedError, name_in_bug_reports
from ulvspark.contract.storage.scratch import keep, scratch_folder

DELTA_VERSION = "4.4.0"
UNITY_CATALOG_VERSION = "0.6.0"
DELTA_PACKAGE = f"io.delta:delta-spark_4.1_2.13:{DELTA_VERSION}"
S3_PACKAGE = "org.apache.hadoop:hadoop-aws:3.4.2"

IVY_JARS = Path(".ivy2.5.2", "jars")
"""Where Spark's dependency resolution keeps jars, below the home directory."""

DELTA_JARS = (
    f"io.delta_delta-spark_4.1_2.13-{DELTA_VERSION}.jar",
    f"io.delta_delta-storage-{DELTA_VERSION}.jar",
    f"io.delta_delta-kernel-api-{DELTA_VERSION}.jar",
    f"io.delta_delta-kernel-defaults-{DELTA_VERSION}.jar",
    f"io.delta_delta-kernel-unitycatalog-{DELTA_VERSION}.jar",
    f"io.unitycatalog_unitycatalog-client-{UNITY_CATALOG_VERSION}.jar",
    f"io.unitycatalog_unitycatalog-hadoop-{UNITY_CATALOG_VERSION}.jar",
)
"""Delta and its dependencies that Spark does not bring itself, by the names of their files in ``IVY_JARS``."""


def start_spark(settings: Mapping[str, str]) -> SparkContext:
    """Start a JVM with ``settings``; what the user sets in PYSPARK_SUBMIT_ARGS wins over them.

    All that the JVM prints goes to a file. It is kept and named when the job ends with a bug, and removed otherwise.
    Raises ExpectedError, which names the file, when Spark cannot start.
    """
    conf = SparkConf(loadDefaults=False).setAll(list(settings.items()))
    output = scratch_folder() / f"ulvspark-spark-{os.getpid()}.log"
    with output.open("wb") as stream:
        try:
            launch: Any = launch_gateway
            gateway = launch(conf, {"stdout": stream, "stderr": subprocess.STDOUT})
        except PySparkRuntimeError as error:
            if error.getCondition() != "JAVA_GATEWAY_EXITED":
                raise
            raise _did_not_start(output) from None
    name_in_bug_reports(output, "what Spark printed")
    # The context takes the settings from the JVM, where spark-submit has put PYSPARK_SUBMIT_ARGS on top of ours.
    return SparkContext(gateway=gateway)


def _did_not_start(output: Path) -> ExpectedError:
    lines = output.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
    return ExpectedError(
        f"Spark did not start ({last}); what it printed is in {keep(output)}. It needs Java 17 or 21 (JAVA_HOME) and, "
        f"where they are not cached yet, the packages {DELTA_PACKAGE} and, for s3a://, {S3_PACKAGE}"
    )


def delta_settings(with_s3: bool) -> dict[str, str]:
    """The settings that bring Delta into Spark, and S3 if needed, which is a large download.

    Spark resolves packages anew at every start, which takes seconds, so jars that are cached are named themselves.
    """
    cached = [Path.home() / IVY_JARS / name for name in DELTA_JARS]
    if not with_s3 and all(jar.is_file() for jar in cached):
        return {"spark.jars": ",".join(map(str, cached))}
    packages = [DELTA_PACKAGE, S3_PACKAGE] if with_s3 else [DELTA_PACKAGE]
    return {"spark.jars.packages": ",".join(packages)}
