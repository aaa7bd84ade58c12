"""Checks that Java, which Spark computes local times with, knows the time zones of a source."""

from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import SourceConfig


def check_time_zones(spark: SparkSession, source: SourceConfig) -> None:
    """Raises ExpectedError for a time zone that Java does not know; Python, which read the YAML, may know more."""
    mappings = [*source.events, *(mapping for mapping in (source.products, source.users) if mapping is not None)]
    zones = {source.time_zone, *(mapping.time_zone for mapping in mappings if mapping.time_zone is not None)}
    jvm: Any = spark._jvm
    for zone in sorted(zones):
        try:
            jvm.java.time.ZoneId.of(zone)
        except (PySparkException, Py4JJavaError):
            version = jvm.java.lang.System.getProperty("java.version")
            raise ExpectedError(
                f"time_zone {zone!r} is not known to Java {version}, which Spark runs on; name a zone with the same "
                "times, or run a newer Java"
            ) from None
