"""CSV files as a table of texts: every file's header is checked, and rows with other fields than it has are marked."""

from collections import Counter
from typing import Any
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StringType, StructType

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import ReadFrom
from ulvspark.intake.reading.read_errors import different_columns

MALFORMED_ROW = "_malformed_row"
"""Of a row with more or fewer fields than the header: the row as it stands in the file; else null."""

_WIDE_ENCODINGS = ("UTF-16", "UTF-32")
"""Line breaks of these are found by a parser that reads whole files alone."""


def read_csv(spark: SparkSession, options: dict[str, str], paths: list[str]) -> DataFrame:
    """The files under ``paths`` (files, folders or patterns) with the columns of their headers, and ``MALFORMED_ROW``.

    ``options`` are those of Spark's reader by names in lower case, with ``header``. Files whose header differs from the
    others' are found when they are read (``read_errors_as_expected``). Raises Spark's errors where there is no file.
    """
    columns = spark.read.format("csv").options(**options).load(paths).schema
    named_by_header = options["header"].lower() == "true"
    # Spark compares headers by itself, except names that it made, of columns that have none or share one.
    compares = named_by_header and not _made_names(columns.names)
    checks = {
        "enforceschema": str(not compares).lower(),
        "columnnameofcorruptrecord": MALFORMED_ROW,
        # Otherwise Spark does not count the fields of columns that nobody reads.
        "columnpruning": "false",
    }
    schema = StructType([*columns.fields]).add(MALFORMED_ROW, StringType())
    rows = spark.read.format("csv").schema(schema).options(**(options | checks)).load(paths)
    if named_by_header and not compares:
        _check_each_header(spark, options, rows, columns.names)
    return rows


def encoding_options(spark: SparkSession, read: ReadFrom) -> dict[str, str]:
    """Options for the encoding of ``read``, if it names one. Raises ExpectedError for one that Java does not know."""
    if read.encoding is None:
        return {}
    jvm: Any = spark._jvm
    try:
        name = str(jvm.java.nio.charset.Charset.forName(read.encoding).name())
    except (PySparkException, Py4JJavaError):
        raise ExpectedError(
            f"{read.name}: encoding {read.encoding!r} is not known; use one such as UTF-8, ISO-8859-1, windows-1252 or "
            "UTF-16"
        ) from None
    wide = {"multiline": "true"} if name.startswith(_WIDE_ENCODINGS) else {}
    return {"encoding": name} | wide


def _made_names(columns: list[str]) -> bool:
    """Whether Spark may have made a name: ``_c3`` for a column without one, ``price2`` and ``price4`` for two alike."""
    stems = [name.removesuffix(str(place)) for place, name in enumerate(columns) if name.endswith(str(place))]
    return "_c" in stems or any(number > 1 for number in Counter(stems).values())


def _check_each_header(spark: SparkSession, options: dict[str, str], rows: DataFrame, columns: list[str]) -> None:
    for path in map(unquote, rows.inputFiles()):
        found = spark.read.format("csv").options(**options).load(path).columns
        if found and found != columns:
            raise ExpectedError(different_columns(path, ", ".join(found), ", ".join(columns)))
