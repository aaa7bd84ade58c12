"""Which rows of a table changed between two versions, and notes in Delta's log that say what a commit was made from."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.warehouse.tables import CATALOG, CHANGE_FEED, Warehouse

logger = logging.getLogger(__name__)

COMMIT_NOTE = "spark.databricks.delta.commitInfo.userMetadata"
"""The setting whose value Delta writes into each commit."""

MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END")
"""Operations that change files but no rows."""

FILES_KEPT, DEFAULT_FILES_KEPT = "delta.deletedFileRetentionDuration", "interval 1 week"
"""How long Delta's VACUUM keeps replaced files, and the files of the change feed with them."""

MISSING_FILE = "FAILED_READ_FILE.FILE_NOT_EXIST"
"""What Spark says of a file that is in Delta's log and no longer there."""

LONGEST_READ = "interval 6 hours"
"""How long a run may take to finish reading a change feed, at most."""


def read_changes(warehouse: Warehouse, name: str, since: int, until: int) -> DataFrame:
    """The rows that were written, replaced or removed after version ``since``, up to ``until``.

    Delta's columns ``_change_type``, ``_commit_version`` and ``_commit_timestamp`` say how and when.
    """
    reader = warehouse.spark.read.format("delta").option("readChangeFeed", "true")
    reader = reader.option("startingVersion", since + 1).option("endingVersion", until)
    read = reader.table if warehouse.root.startswith(CATALOG) else reader.load
    return read(warehouse.location(name))


def changed_keys(warehouse: Warehouse, name: str, key: str, since: int, until: int) -> DataFrame:
    """Column ``key`` of the rows that changed after version ``since``, up to ``until``."""
    return read_changes(warehouse, name, since, until).select(key)


def change_feed_reaches(warehouse: Warehouse, name: str, version: int) -> bool:
    """Whether the change feed of a table holds every change after ``version``.

    It does not when it was switched off for a while, when the log of that time is gone, or when VACUUM has removed its
    files or may soon do so.
    """
    newest = warehouse.version(name)
    commits = newest - version
    if commits <= 0:
        return commits == 0
    properties = warehouse.properties(name)
    kept = F.expr(properties.get(FILES_KEPT, DEFAULT_FILES_KEPT))
    files_stay = F.min("timestamp") + kept > F.now() + F.expr(LONGEST_READ)
    feed_switched = F.count_if(F.col("operationParameters")["properties"].contains(CHANGE_FEED))
    log = warehouse.delta_table(name).history(commits).agg(F.count("*"), files_stay, feed_switched)
    logged, stays, switched = log.collect()[0]
    is_logged = bool(logged == commits and stays and not switched) and properties.get(CHANGE_FEED) == "true"
    return is_logged and _files_are_there(warehouse, name, version, newest)


def _files_are_there(warehouse: Warehouse, name: str, since: int, until: int) -> bool:
    """Whether every file of the change feed can be read: tried on one column."""
    changes = read_changes(warehouse, name, since, until)
    try:
        changes.agg(F.count(changes.columns[0])).collect()
    except Py4JJavaError as error:
        if MISSING_FILE not in str(error):
            raise
        logger.warning("%s: files of its change feed are gone, as after a VACUUM that keeps less than a week", name)
        return False
    return True


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
    """The note of the newest commit that changed rows; None if it has none, or is no longer in the log."""
    for version in range(warehouse.version(name), -1, -1):
        info = _commit_info(warehouse, name, version)
        if info is None or info.get("operation") not in MAINTENANCE:
            return None if info is None else info.get("userMetadata")
    return None


def _commit_info(warehouse: Warehouse, name: str, version: int) -> dict[str, Any] | None:
    """What the log says of a commit, read as a file: DESCRIBE HISTORY would start a Spark job for it."""
    log, jvm = warehouse.delta_log(name), cast("Any", warehouse.spark._jvm)
    path = jvm.org.apache.hadoop.fs.Path(log.logPath(), f"{version:020d}.json")
    configuration = log.newDeltaHadoopConf()
    if not path.getFileSystem(configuration).exists(path):
        return None
    lines = log.store().read(path, configuration)
    actions = (json.loads(lines.apply(number)) for number in range(lines.size()))
    return next((action["commitInfo"] for action in actions if "commitInfo" in action), None)


def table_id(warehouse: Warehouse, name: str) -> str:
    """An id that changes when a table is dropped and made again under the same name."""
    return str(warehouse.snapshot(name).metadata().id())
