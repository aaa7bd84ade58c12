"""Reads a source table where it is: its address, its reader's options, and what to say where it is not there."""

import os
import re
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import ReadFrom
from ulvspark.intake.reading.csv_files import encoding_options, read_csv
from ulvspark.intake.reading.read_errors import first_line

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def read_table(spark: SparkSession, read: ReadFrom, source_root: str, target: str) -> DataFrame:
    """The source table ``read``, which ``target`` is mapped from; of CSV files with ``csv_files.MALFORMED_ROW``.

    Raises ExpectedError when it is not there or cannot be read.
    """
    options = reader_options(read) | encoding_options(spark, read)
    reader = spark.read.format(read.format).options(**options)
    try:
        if read.path is not None:
            address = source_address(read.path, source_root)
            return read_csv(spark, options, [address]) if read.format == "csv" else reader.load(address)
        return reader.load() if read.format == "jdbc" else reader.table(read.table or "")
    except (PySparkException, Py4JJavaError) as error:
        raise ExpectedError(
            f"{target}: source table {read.name} ({read.format}) cannot be read: {first_line(error)}"
            f"{_files_beside(read, source_root)}"
        ) from None


def reader_options(read: ReadFrom) -> dict[str, str]:
    """Options for Spark's reader, with ``${NAME}`` filled from the environment.

    CSV files are read with a header unless the options say otherwise, and as text, which is then converted to the
    contract's types.
    Raises ExpectedError for a variable that is not set.
    """
    options = {name: _filled(name, value) for name, value in read.options.items()}
    if read.format == "csv":
        return {"header": "true", **{name.lower(): value for name, value in options.items()}}
    if read.format == "jdbc" and read.table is not None:
        return {"dbtable": read.table, **options}
    return options


def _filled(option: str, value: str) -> str:
    missing = [name for name in _VARIABLE.findall(value) if name not in os.environ]
    if missing:
        raise ExpectedError(f"option {option}: the environment has no variable {', '.join(missing)}; set it")
    return _VARIABLE.sub(lambda match: os.environ[match.group(1)], value)


def source_address(path: str, source_root: str) -> str:
    """Where ``path`` is: relative paths lie under ``source_root``."""
    absolute = "://" in path or path.startswith("/")
    return path if absolute else f"{source_root.rstrip('/')}/{path}"


def _files_beside(read: ReadFrom, source_root: str) -> str:
    """Text that names the files in the folder of a missing local file."""
    if read.path is None or "://" in (address := source_address(read.path, source_root)):
        return ""
    folder = Path(address).parent
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    names = sorted(entry.name for entry in folder.iterdir())
    return f"; {folder} holds: {', '.join(names[:20]) or 'nothing'}"
