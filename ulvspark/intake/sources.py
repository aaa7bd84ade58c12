"""Reads a company's tables where they are, and maps them to events, products, users and quarantine."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial, reduce
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from ulvspark.contract import schema
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source import ReadFrom, SourceConfig, TableMapping
from ulvspark.intake.checked_rows import Tables, checked_rows, count_outcomes, good_rows
from ulvspark.intake.columns.targets import EVENTS_TARGET, PRODUCTS_TARGET, USERS_TARGET
from ulvspark.intake.mapping import complete_events
from ulvspark.intake.price_stamps import PRICE_STAMPS
from ulvspark.intake.quarantine import event_rules, product_rules, quarantine_rows, user_rules

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Mapped:
    """A source in the contract's columns; nothing is read before the first action.

    ``events`` lack the price stamps. ``outcomes`` counts rows, as ``outcomes.by_source_table`` reads them. All frames
    are made from the ``cached`` ones, so each source is read once; call ``release`` when done.
    """

    events: DataFrame
    products: DataFrame
    users: DataFrame
    quarantine: DataFrame
    outcomes: DataFrame
    cached: tuple[DataFrame, ...]

    def release(self) -> None:
        for frame in self.cached:
            frame.unpersist()


def read_source(spark: SparkSession, source: SourceConfig, source_root: str, clock: datetime, run_id: str) -> Mapped:
    """Map every table of ``source``; relative paths lie under ``source_root``.

    ``clock`` (with a time zone) is the time of the load; events after it are quarantined. Raises ExpectedError for a
    source table or column that is missing, and for a type that cannot be converted.
    """
    tables = partial(_read_tables, spark, source_root)
    check = partial(checked_rows, spark, source)

    def complete(mapped: DataFrame, mapping: TableMapping) -> DataFrame:
        return complete_events(mapped, mapping.columns, source.time_zone, clock)

    events = check(tables(source.events, schema.EVENTS), EVENTS_TARGET, event_rules(source), complete)
    products = check(tables(_as_tuple(source.products), schema.PRODUCTS), PRODUCTS_TARGET, product_rules())
    users = check(tables(_as_tuple(source.users), schema.USERS), USERS_TARGET, user_rules(source, clock))
    checked = {schema.EVENTS.name: events, schema.PRODUCTS.name: products, schema.USERS.name: users}
    bad = [quarantine_rows(frame, name, source.name, run_id, clock) for name, frame in checked.items()]
    return Mapped(
        good_rows(events).select(*(name for name in schema.EVENTS.names if name not in PRICE_STAMPS)),
        good_rows(products).withColumnRenamed("content_hash", "text_hash").select(*schema.PRODUCTS.names),
        good_rows(users).select(*schema.USERS.names),
        reduce(DataFrame.union, bad),
        reduce(DataFrame.union, [count_outcomes(frame, name) for name, frame in checked.items()]),
        tuple(checked.values()),
    )


def _as_tuple(mapping: TableMapping | None) -> tuple[TableMapping, ...]:
    return () if mapping is None else (mapping,)


def _read_tables(
    spark: SparkSession, source_root: str, mappings: Sequence[TableMapping], target: schema.Table
) -> Tables:
    return [(mapping, read_table(spark, mapping, source_root, target.name)) for mapping in mappings]


def read_table(spark: SparkSession, mapping: TableMapping, source_root: str, target: str) -> DataFrame:
    """The source table of a mapping to ``target``. Raises ExpectedError when it is not there or cannot be read."""
    read = mapping.read
    reader = spark.read.format(read.format).options(**reader_options(read))
    try:
        if read.path is not None:
            return reader.load(_address(read.path, source_root))
        return reader.load() if read.format == "jdbc" else reader.table(read.table or "")
    except (PySparkException, Py4JJavaError) as error:
        raise ExpectedError(
            f"{target}: source table {mapping.read.name} ({read.format}) cannot be read: {_first_line(error)}"
            f"{_files_beside(read, source_root)}"
        ) from None


@contextmanager
def read_errors_as_expected() -> Iterator[None]:
    """Put this around the first action on what ``read_source`` gives, where damaged files and null keys first show.

    Raises ExpectedError that says which it is.
    """
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        message = _first_line(error)
        if "FAILED_READ_FILE" in message:
            raise ExpectedError(f"a source table cannot be read to its end: {message}") from None
        if "NULL_MAP_KEY" in message:
            raise ExpectedError("a map in a mapping has a key that is null in some row; use coalesce() there") from None
        raise


def _first_line(error: Exception) -> str:
    message = error.java_exception.getMessage() if isinstance(error, Py4JJavaError) else str(error)
    return str(message).splitlines()[0]


def reader_options(read: ReadFrom) -> dict[str, str]:
    """Options for Spark's reader, with ``${NAME}`` filled from the environment.

    CSV files are read with a header unless the options say otherwise, and as text, which is then converted to the
    contract's types.
    Raises ExpectedError for a variable that is not set.
    """
    options = {name: _filled(name, value) for name, value in read.options.items()}
    if read.format == "csv":
        return {"header": "true", **options}
    if read.format == "jdbc" and read.table is not None:
        return {"dbtable": read.table, **options}
    return options


def _filled(option: str, value: str) -> str:
    missing = [name for name in _VARIABLE.findall(value) if name not in os.environ]
    if missing:
        raise ExpectedError(f"option {option}: the environment has no variable {', '.join(missing)}; set it")
    return _VARIABLE.sub(lambda match: os.environ[match.group(1)], value)


def _address(path: str, source_root: str) -> str:
    absolute = "://" in path or path.startswith("/")
    return path if absolute else f"{source_root.rstrip('/')}/{path}"


def _files_beside(read: ReadFrom, source_root: str) -> str:
    """Text that names the files in the folder of a missing local file."""
    if read.path is None or "://" in (address := _address(read.path, source_root)):
        return ""
    folder = Path(address).parent
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    names = sorted(entry.name for entry in folder.iterdir())
    return f"; {folder} holds: {', '.join(names[:20]) or 'nothing'}"
