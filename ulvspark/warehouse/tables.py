"""Delta tables under one root: pinned reads, idempotent writes. The only module that says how a table is kept."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delta import exceptions
from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import EVENTS, Table

CATALOG = "catalog:"
CURRENCY = "ulvspark.currency"
TIME_ZONE = "ulvspark.time_zone"

CONFLICTS = (
    exceptions.ConcurrentAppendException,
    exceptions.ConcurrentDeleteDeleteException,
    exceptions.ConcurrentDeleteReadException,
    exceptions.ConcurrentTransactionException,
    exceptions.ConcurrentWriteException,
    exceptions.MetadataChangedException,
    exceptions.ProtocolChangedException,
)
TIDYING = ("OPTIMIZE", "VACUUM START", "VACUUM END")
"""Operations that leave a table's rows as they are."""

MAY_GAIN_COLUMNS = {"mergeSchema": "true"}
"""Tables outlive releases, of which a newer one may write a column more."""

FEED = "delta.enableChangeDataFeed"
NOTE = "spark.databricks.delta.commitInfo.userMetadata"

FILES_KEPT, FOR_A_WEEK = "delta.deletedFileRetentionDuration", "interval 1 week"
"""How long Delta's VACUUM leaves files that were replaced, and those of the change feed with them; its default."""

A_NIGHT = "interval 6 hours"
"""What a run may take until it has read a change feed."""


@dataclass(frozen=True)
class WarehouseSettings:
    """What holds for the whole warehouse: one currency, and the time zone in which ``as_of`` is midnight."""

    currency: str
    time_zone: str


@dataclass(frozen=True)
class MergeCounts:
    """Rows a merge changed."""

    inserted: int
    updated: int


class Warehouse:
    """The tables under ``root``: a folder, an s3a:// address, or ``catalog:database`` for catalog tables.

    What writes raises ExpectedError where another job wrote to the same rows meanwhile. On s3a:// Delta sees that of
    jobs of one driver alone, unless it was given a LogStore for several.
    """

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark = spark
        self.root = _absolute(root.rstrip("/"))

    def identifier(self, name: str) -> str:
        """The table as SQL names it."""
        return self._location(name) if self.root.startswith(CATALOG) else f"delta.`{self._location(name)}`"

    def exists(self, name: str) -> bool:
        """Raises ExpectedError where the warehouse is out of reach."""
        if self.root.startswith(CATALOG):
            return self.spark.catalog.tableExists(self.identifier(name))
        try:
            return DeltaTable.isDeltaTable(self.spark, self._location(name))
        except Py4JJavaError as error:
            said = str(error.java_exception).splitlines()[0]
            raise ExpectedError(
                f"warehouse {self.root} is out of reach ({said}); check the address and the credentials"
            ) from None

    def version(self, name: str) -> int:
        """The newest version of a table. Raises ExpectedError when there is no such table."""
        (newest,) = self._delta(name).history(1).select("version").collect()
        return int(newest["version"])

    def read(self, name: str, version: int | None = None) -> DataFrame:
        """A table as of ``version`` (its newest if not given). Raises ExpectedError when there is no such table."""
        self._check_exists(name)
        if version is None:
            return self.spark.table(self.identifier(name))
        return self.spark.sql(f"SELECT * FROM {self.identifier(name)} VERSION AS OF {version}")  # noqa: S608

    def ensure(self, table: Table, properties: Mapping[str, str] | None = None) -> None:
        """Create ``table`` empty unless it is there, with the change feed on from its first version.

        Raises ExpectedError when there is no such database.
        """
        if self.exists(table.name):
            return
        database = self.root.removeprefix(CATALOG)
        if self.root.startswith(CATALOG) and not self.spark.catalog.databaseExists(database):
            raise ExpectedError(f"warehouse {self.root}: there is no database {database}; create it")
        builder = DeltaTable.createIfNotExists(self.spark)
        if self.root.startswith(CATALOG):
            builder = builder.tableName(self.identifier(table.name))
        else:
            builder = builder.location(self._location(table.name))
        builder = builder.addColumns(self.spark.createDataFrame([], table.ddl).schema)
        if table.partition:
            builder = builder.partitionedBy(*table.partition)
        for key, value in {FEED: "true", **(properties or {})}.items():
            builder = builder.property(key, value)
        with _alone(table.name):
            builder.execute()

    def append(self, frame: DataFrame, name: str) -> int:
        """Add rows to a table, which is made where there is none; returns its new version."""
        return self._write(frame, name, "append", options=MAY_GAIN_COLUMNS)

    def overwrite(self, frame: DataFrame, name: str, partition_by: Sequence[str] = (), where: str | None = None) -> int:
        """Replace a table (or the rows for which ``where`` holds) in one commit; returns its new version."""
        options = {"replaceWhere": where, **MAY_GAIN_COLUMNS} if where else {"overwriteSchema": "true"}
        return self._write(frame, name, "overwrite", partition_by, options)

    def replace(
        self, frame: DataFrame, name: str, properties: Mapping[str, str], partition_by: Sequence[str] = ()
    ) -> int:
        """Replace a table together with its properties in one commit, so that neither is seen without the other."""
        writer = frame.writeTo(self.identifier(name)).using("delta")
        for key, value in properties.items():
            writer = writer.tableProperty(key, value)
        if partition_by:
            writer = writer.partitionedBy(*(F.col(column) for column in partition_by))
        with _alone(name):
            writer.createOrReplace()
        return self.version(name)

    def merge(self, frame: DataFrame, table: Table, update_when: str | None) -> MergeCounts:
        """Merge rows by the table's key, each key at most once in ``frame``.

        ``update_when`` is an SQL condition on t (the table) and s (the rows) under which a known row is replaced;
        None only inserts.
        """
        on = " AND ".join(f"t.{column} <=> s.{column}" for column in table.key)
        merge = self._delta(table.name).alias("t").merge(frame.alias("s"), on)
        if update_when is not None:
            merge = merge.whenMatchedUpdateAll(condition=update_when)
        # Counted by the merge itself: one that changes nothing makes no commit whose metrics could be read.
        with _alone(table.name):
            (counts,) = merge.whenNotMatchedInsertAll().execute().collect()
        return MergeCounts(int(counts["num_inserted_rows"]), int(counts["num_updated_rows"]))

    def replace_rows(self, frame: DataFrame, table: Table, keys: DataFrame) -> None:
        """Of the rows whose key is one of ``keys``, leave those of ``frame`` alone."""
        on = " AND ".join(f"t.{column} = s.{column}" for column in table.key)
        there = keys.join(frame.withColumn("there", F.lit(True)), list(table.key), "left")
        merge = self._delta(table.name).alias("t").merge(there.alias("s"), on)
        merge = merge.whenMatchedDelete("s.there IS NULL").whenMatchedUpdateAll()
        with _alone(table.name):
            merge.whenNotMatchedInsertAll("s.there").execute()

    def changed(self, name: str, key: str, since: int, until: int) -> DataFrame:
        """``key`` of the rows that commits after version ``since`` and up to ``until`` wrote, replaced or removed."""
        reader = self.spark.read.format("delta").option("readChangeFeed", "true")
        reader = reader.option("startingVersion", since + 1).option("endingVersion", until)
        read = reader.table if self.root.startswith(CATALOG) else reader.load
        return read(self._location(name)).select(key)

    def remembers(self, name: str, version: int) -> bool:
        """Whether the change feed of a table holds all that was done after ``version``."""
        commits = self.version(name) - version
        if commits <= 0:
            return commits == 0
        properties = self.properties(name)
        kept = F.expr(properties.get(FILES_KEPT, FOR_A_WEEK))
        still_there = F.min("timestamp") + kept > F.now() + F.expr(A_NIGHT)
        # Without a feed for a while, what was done then is in none.
        settings = F.count_if(F.col("operationParameters")["properties"].contains(FEED))
        done = self._delta(name).history(commits).agg(F.count("*"), still_there, settings)
        found, are_there, set_anew = done.collect()[0]
        return bool(found == commits and are_there and not set_anew) and properties.get(FEED) == "true"

    def table_id(self, name: str) -> str:
        """What tells a table from one that was later made under its name."""
        [(found,)] = self._delta(name).detail().select("id").collect()
        return str(found)

    @contextmanager
    def noting(self, note: str) -> Iterator[None]:
        """Commits made inside say ``note``, which is there with what they wrote or not at all."""
        before = self.spark.conf.get(NOTE, None)
        self.spark.conf.set(NOTE, note)
        try:
            yield
        finally:
            if before is None:
                self.spark.conf.unset(NOTE)
            else:
                self.spark.conf.set(NOTE, before)

    def newest_note(self, name: str) -> str | None:
        """What the newest commit says that did not only tidy up; None where it was made without a note."""
        commits = self._delta(name).history().where(~F.col("operation").isin(*TIDYING))
        found = commits.orderBy(F.desc("version")).select("userMetadata").first()
        return None if found is None else found["userMetadata"]

    def delete(self, name: str, condition: Column) -> None:
        """Remove the rows of a table for which ``condition`` holds."""
        with _alone(name):
            self._delta(name).delete(condition)

    def properties(self, name: str) -> dict[str, str]:
        rows = self.spark.sql(f"SHOW TBLPROPERTIES {self._checked(name)}").collect()
        return {row["key"]: row["value"] for row in rows}

    def set_properties(self, name: str, properties: Mapping[str, str]) -> None:
        """``properties`` hold no quotes."""
        listed = ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())
        with _alone(name):
            self.spark.sql(f"ALTER TABLE {self._checked(name)} SET TBLPROPERTIES ({listed})")

    def settings(self) -> WarehouseSettings:
        """Currency and time zone, as the first load set them. Raises ExpectedError when nothing was loaded."""
        properties = self.properties(EVENTS.name)
        if CURRENCY not in properties or TIME_ZONE not in properties:
            raise ExpectedError(
                f"table {EVENTS.name} of warehouse {self.root} was not made by load_source; run that first"
            )
        return WarehouseSettings(properties[CURRENCY], properties[TIME_ZONE])

    def names(self) -> list[str]:
        """The tables under this root, other people's among them."""
        if self.root.startswith(CATALOG):
            found = self.spark.sql(f"SHOW TABLES IN {self.root.removeprefix(CATALOG)}").collect()
            return [each["tableName"] for each in found]
        path, files = self._files(self.root)
        return [each.getPath().getName() for each in files.listStatus(path) if each.isDirectory()]

    def drop(self, name: str) -> None:
        """Remove a table and its files."""
        if self.root.startswith(CATALOG):
            self.spark.sql(f"DROP TABLE IF EXISTS {self.identifier(name)}")
            return
        path, files = self._files(self._location(name))
        files.delete(path, True)

    def _files(self, address: str) -> tuple[Any, Any]:
        """Hadoop's path and the file system that it is on."""
        context = self.spark.sparkContext
        path = context._jvm.org.apache.hadoop.fs.Path(address)  # type: ignore[union-attr]
        return path, path.getFileSystem(context._jsc.hadoopConfiguration())

    def _location(self, name: str) -> str:
        """The table's name in the catalog, or its folder."""
        if self.root.startswith(CATALOG):
            return f"{self.root.removeprefix(CATALOG)}.{name}"
        return f"{self.root}/{name}"

    def _delta(self, name: str) -> DeltaTable:
        self._check_exists(name)
        if self.root.startswith(CATALOG):
            return DeltaTable.forName(self.spark, self.identifier(name))
        return DeltaTable.forPath(self.spark, self._location(name))

    def _check_exists(self, name: str) -> None:
        if not self.exists(name):
            raise ExpectedError(f"warehouse {self.root} has no table {name}; run the job that writes it first")

    def _checked(self, name: str) -> str:
        self._check_exists(name)
        return self.identifier(name)

    def _write(
        self,
        frame: DataFrame,
        name: str,
        mode: str,
        partition_by: Sequence[str] = (),
        options: Mapping[str, str] | None = None,
    ) -> int:
        writer = frame.write.format("delta").mode(mode).options(**(options or {}))
        if partition_by:
            writer = writer.partitionBy(*partition_by)
        with _alone(name):
            if self.root.startswith(CATALOG):
                writer.saveAsTable(self.identifier(name))
            else:
                writer.save(self._location(name))
        return self.version(name)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    try:
        yield
    except CONFLICTS as error:
        conflict = type(error).__name__
        raise ExpectedError(
            f"table {name}: another job wrote to it at the same time ({conflict}); run again"
        ) from error


def _absolute(root: str) -> str:
    """A relative folder as a whole path: Delta makes tables only at those."""
    return root if root.startswith(CATALOG) or "://" in root else str(Path(root).absolute())
