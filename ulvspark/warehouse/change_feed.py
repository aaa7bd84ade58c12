"""Which rows of a table changed between two versions, and notes in Delta's log that say what a commit was made from."""

from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.warehouse.tables import CATALOG, CHANGE_FEED, Warehouse

COMMIT_NOTE = "spark.databricks.delta.commitInfo.userMetadata"
"""The setting whose value Delta writes into each commit."""

MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END")
"""Operations that change files but no rows."""

FILES_KEPT, DEFAULT_FILES_KEPT = "delta.deletedFileRetentionDuration", "interval 1 week"
"""How long Delta's VACUUM keeps replaced files, and the files of the change feed with them."""

LONGEST_READ = "interval 6 hours"
"""How long a run may take to finish reading a change feed, at most."""


def changed_keys(warehouse: Warehouse, name: str, key: str, since: int, until: int) -> DataFrame:
    """Column ``key`` of the rows that were written, replaced or removed after version ``since``, up to ``until``."""
    reader = warehouse.spark.read.format("delta").option("readChangeFeed", "true")
    reader = reader.option("startingVersion", since + 1).option("endingVersion", until)
    read = reader.table if warehouse.root.startswith(CATALOG) else reader.load
    return read(warehouse.location(name)).select(key)


def tells_of_missing_files(error: Py4JJavaError) -> bool:
    """Whether Spark met a file that is in Delta's log but gone: VACUUM with too short a retention, or other tools."""
    return "FAILED_READ_FILE.FILE_NOT_EXIST" in str(error)


def change_feed_reaches(warehouse: Warehouse, name: str, version: int) -> bool:
    """Whether the change feed of a table holds every change after ``version``.

    It does not when it was switched off for a while, when the log of that time is gone, or when VACUUM may soon remove
    its files.
    """
    commits = warehouse.version(name) - version
    if commits <= 0:
        return commits == 0
    properties = warehouse.properties(name)
    kept = F.expr(properties.get(FILES_KEPT, DEFAULT_FILES_KEPT))
    files_stay = F.min("timestamp") + kept > F.now() + F.expr(LONGEST_READ)
    feed_switched = F.count_if(F.col("operationParameters")["properties"].contains(CHANGE_FEED))
    log = warehouse.delta_table(name).history(commits).agg(F.count("*"), files_stay, feed_switched)
    logged, stays, switched = log.collect()[0]
    return bool(logged == commits and stays and not switched) and properties.get(CHANGE_FEED) == "true"


@contextmanager
def commit_note(warehouse: Warehouse, note: str) -> Iterator[None]:
    """Every commit made in this block carries ``note``: it is in the log together with the rows, or neither is."""
    conf = warehouse.spark.conf
    before = conf.get(COMMIT_NOTE, None)
    conf.set(COMMIT_NOTE, note)
    try:
        yield
    finally:
        if before is None:
            conf.unset(COMMIT_NOTE)
        else:
            conf.set(COMMIT_NOTE, before)


def newest_commit_note(warehouse: Warehouse, name: str) -> str | None:
    """The note of the newest commit that changed rows; None if it has none."""
    commits = warehouse.delta_table(name).history().where(~F.col("operation").isin(*MAINTENANCE))
    newest = commits.orderBy(F.desc("version")).select("userMetadata").first()
    return None if newest is None else newest["userMetadata"]


def table_id(warehouse: Warehouse, name: str) -> str:
    """An id that changes when a table is dropped and made again under the same name."""
    return str(warehouse.snapshot(name).metadata().id())
