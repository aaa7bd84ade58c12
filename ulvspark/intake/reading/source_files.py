"""The files of a source table: which there are, when each was written, and the rows of some of them."""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ulvspark.contract.source.source import ReadFrom
from ulvspark.intake.reading.csv_files import encoding_options, read_csv
from ulvspark.intake.reading.source_tables import reader_options, source_address


def file_stamps(table: DataFrame) -> dict[str, str]:
    """The size in bytes and the time of the last change of each file of ``table``, by its path."""
    frame: Any = table._jdf
    leaves = frame.queryExecution().analyzed().collectLeaves()
    stamps = {}
    for leaf in (leaves.apply(number) for number in range(leaves.size())):
        files = leaf.relation().location().allFiles()
        for status in (files.apply(number) for number in range(files.size())):
            stamps[str(status.getPath().toString())] = f"{status.getLen()} bytes at {status.getModificationTime()}"
    return stamps


def read_files(
    spark: SparkSession, read: ReadFrom, source_root: str, table: DataFrame, paths: Sequence[str]
) -> DataFrame:
    """The rows of the files ``paths`` of the Parquet or CSV table ``table``."""
    if not paths:
        return table.where(F.lit(False))
    options = reader_options(read) | encoding_options(spark, read)
    if read.format == "csv":
        return read_csv(spark, options, list(paths))
    reader = spark.read.format(read.format).options(**options).schema(table.schema)
    base = source_address(read.path or "", source_root)
    # Folders such as day=2026-03-01 give columns, which Spark finds below the table's folder.
    is_folder = all(path.rpartition(":")[2].startswith(base.rpartition(":")[2].rstrip("/") + "/") for path in paths)
    return (reader.option("basePath", base) if is_folder else reader).load(list(paths))
