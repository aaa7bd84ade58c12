"""What changed in a source's Delta table since a version of it: by its change feed, or else by the files it added."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from ulvspark.contract.source.source import ReadFrom
from ulvspark.intake.reading.source_tables import source_address
from ulvspark.warehouse.changes.change_feed import change_feed_reaches, read_changes, table_id
from ulvspark.warehouse.tables import CATALOG, CHANGE_FEED, Warehouse

WRITTEN = ("insert", "update_postimage")
"""Kinds of changes whose rows the table got."""

FEED_COLUMNS = ("_change_type", "_commit_version", "_commit_timestamp")


@dataclass(frozen=True)
class DeltaSource:
    """A company's Delta table, at its newest version."""

    place: Warehouse
    """The folder or database that the table is in."""
    name: str
    id: str
    version: int

    def at_newest(self) -> DataFrame:
        """All rows, at that version."""
        return self.place.read(self.name, self.version)


@dataclass(frozen=True)
class Changes:
    """Rows that a table got, and rows that it no longer has (None where it only got rows)."""

    rows: DataFrame
    removed: DataFrame | None


def delta_source(spark: SparkSession, read: ReadFrom, source_root: str) -> DeltaSource:
    """The table that ``read`` names."""
    if read.path is not None:
        folder, _, name = source_address(read.path, source_root).rstrip("/").rpartition("/")
        place = Warehouse(spark, folder)
    else:
        database, _, name = (read.table or "").rpartition(".")
        place = Warehouse(spark, CATALOG + (database or spark.catalog.currentDatabase()))
    return DeltaSource(place, name, table_id(place, name), place.version(name))


def new_delta_rows(source: DeltaSource, last: Mapping[str, Any], condition: str | None, key: str) -> Changes | str:
    """What changed since the ``last`` id and version of the table; or, as a clause, why that cannot be known.

    ``condition`` (None: all rows) and ``key`` are the mapping's SQL for rows that count, and for the key of a row.
    """
    since = int(last["version"])
    if last["id"] != source.id:
        return "another table has taken its name"
    if since == source.version:
        return Changes(source.at_newest().where(F.lit(False)), None)
    has_feed = source.place.properties(source.name).get(CHANGE_FEED) == "true"
    if has_feed and change_feed_reaches(source.place, source.name, since):
        feed = read_changes(source.place, source.name, since, source.version)
        return _net_changes(feed, F.expr(condition or "true"), F.expr(key))
    return _added_rows(source, since)


def _net_changes(feed: DataFrame, counts: Column, key: Column) -> Changes:
    """The newest state of each key that a change feed names; a row that the mapping now filters out counts as removed.

    Of a key that was written and removed in one commit, the written rows are the newest.
    """
    written = F.col("_change_type").isin(*WRITTEN) & F.coalesce(counts, F.lit(False))
    marked = feed.withColumns({"_key": key.cast("string"), "_written": written})
    same_key = Window.partitionBy("_key")
    newest = marked.withColumn("_newest", F.max("_commit_version").over(same_key)).where(
        "_commit_version = _newest OR _key IS NULL"
    )
    settled = newest.withColumn("_any_written", F.max("_written").over(same_key))
    helpers = [*FEED_COLUMNS, "_key", "_written", "_newest", "_any_written"]
    return Changes(
        settled.where("_written").drop(*helpers),
        settled.where("NOT _any_written AND _key IS NOT NULL").drop(*helpers),
    )


def _added_rows(source: DeltaSource, since: int) -> Changes | str:
    """The rows of the files that commits after version ``since`` added, if none removed or rewrote any."""
    log = source.place.delta_log(source.name)
    jvm: Any = source.place.spark._jvm
    folder = f"{log.dataPath().toString()}/_delta_log"
    commits = [f"{folder}/{number:020d}.json" for number in range(since + 1, source.version + 1)]
    path = jvm.org.apache.hadoop.fs.Path
    files = log.dataPath().getFileSystem(log.newDeltaHadoopConf())
    if not all(files.exists(path(commit)) for commit in commits):
        return f"its log no longer has all commits after version {since}"
    lines = source.place.spark.read.text(commits).collect()
    actions = [json.loads(line["value"]) for line in lines]
    if any("metaData" in action or "protocol" in action for action in actions):
        return "its columns or properties changed"
    if any(action.get("remove", {}).get("dataChange") for action in actions):
        return "rows were removed or rewritten, and no change feed tells which"
    added = {action["add"]["path"] for action in actions if action.get("add", {}).get("dataChange")}
    rows = _rows_of_files(source, log, added)
    return "added files were joined with others since" if rows is None else Changes(rows, None)


def _rows_of_files(source: DeltaSource, log: Any, paths: set[str]) -> DataFrame | None:  # noqa: ANN401 - Java object
    """The rows of some files, read as Delta reads them; None where not all of them are in the newest version."""
    jvm: Any = source.place.spark._jvm
    snapshot = source.place.snapshot(source.name)
    files = jvm.java.util.ArrayList()
    for file in snapshot.allFiles().collectAsList():
        if file.path() in paths:
            files.add(file)
    if files.size() < len(paths):
        return None
    chosen = jvm.scala.jdk.javaapi.CollectionConverters.asScala(files).toSeq()
    rows = log.createDataFrame(snapshot, chosen, False, jvm.scala.Option.empty())
    return DataFrame(rows, source.place.spark)
