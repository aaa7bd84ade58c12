"""The Delta tables of a warehouse: reading and writing them in a folder, on S3 or in a catalog."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from delta import exceptions
from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError, RetryableError
from ulvspark.contract.schema import Table
from ulvspark.warehouse.outages import outage

CATALOG = "catalog:"

CONFLICTS = (
    exceptions.ConcurrentAppendException,
    exceptions.ConcurrentDeleteDeleteException,
    exceptions.ConcurrentDeleteReadException,
    exceptions.ConcurrentTransactionException,
    exceptions.ConcurrentWriteException,
    exceptions.MetadataChangedException,
    exceptions.ProtocolChangedException,
)
ALLOW_NEW_COLUMNS = {"mergeSchema": "true"}
"""Write options: a newer release may write columns that a table made by an older one lacks."""

CHANGE_FEED = "delta.enableChangeDataFeed"

SMALL_UPDATES = {"delta.enableDeletionVectors": "true"}
"""Properties: replacing a few rows does not copy the others of a file."""

FOR_EVERY_READER = {
    "delta.columnMapping.mode": "none",
    "delta.enableDeletionVectors": "false",
    "delta.checkpointPolicy": "classic",
}
"""Properties that keep a table at Delta's reader version 1, whatever the cluster's defaults are for new tables."""

FORMAT_VERSION = "3"
"""Raised when tables change so that this code cannot read what an older version loaded."""

FORMAT = "ulvspark.format_version"
"""The property of a table that holds the format version of its warehouse."""


class Warehouse:
    """The tables under ``root``: a folder, an s3a:// address, or ``catalog:database`` for catalog tables.

    Writing raises RetryableError when another job wrote to the same rows at the same time. On s3a:// Delta notices
    this only between jobs of one driver; the leases of ``ulvspark.warehouse.lease`` keep several drivers apart.
    """

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark = spark
        self.root = _absolute(root.rstrip("/"))
        self._checks: list[Callable[[], None]] = []

    @contextmanager
    def checked_by(self, check: Callable[[], None]) -> Iterator[None]:
        """Call ``check``, which raises an error where nothing may be written, before each write of the block."""
        self._checks.append(check)
        try:
            yield
        finally:
            self._checks.remove(check)

    def address(self) -> str:
        """Where the tables lie: the folder or address of ``root``, or of its database.

        Raises ExpectedError when there is no such database.
        """
        if not self.root.startswith(CATALOG):
            return self.root
        self._check_database()
        return self.spark.catalog.getDatabase(self.root.removeprefix(CATALOG)).locationUri

    def identifier(self, name: str) -> str:
        """The table as SQL names it."""
        return self.location(name) if self.root.startswith(CATALOG) else f"delta.`{self.location(name)}`"

    def exists(self, name: str) -> bool:
        """Whether the table is there.

        Raises RetryableError when the warehouse does not answer, and ExpectedError when it lets nobody in.
        """
        if self.root.startswith(CATALOG):
            return self.spark.catalog.tableExists(self.identifier(name))
        try:
            there = bool(DeltaTable.isDeltaTable(self.spark, self.location(name)))
            if not there:
                # Delta would keep a "no" that it gave while another job was making the table.
                self._forget_log(name)
            return there
        except Py4JJavaError as error:
            said = str(error.java_exception).splitlines()[0]
            kind = ExpectedError if outage(error) is None else RetryableError
            raise kind(
                f"warehouse {self.root} cannot be reached ({said}); check the address and the credentials"
            ) from None

    def version(self, name: str) -> int:
        """The newest version of a table. Raises ExpectedError when there is no such table."""
        return int(self.snapshot(name).version())

    def number_of_files(self, name: str) -> int:
        """How many files belong to the newest version. Raises ExpectedError when there is no such table."""
        snapshot = self.snapshot(name)
        # Delta keeps the number beside each commit; only where that is missing does it take two Spark jobs.
        known = snapshot.numOfFilesIfKnown()
        return int(known.get() if known.isDefined() else snapshot.numOfFiles())

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
        self._check_database()
        builder = DeltaTable.createIfNotExists(self.spark)
        if self.root.startswith(CATALOG):
            builder = builder.tableName(self.identifier(table.name))
        else:
            builder = builder.location(self.location(table.name))
        builder = builder.addColumns(self.spark.createDataFrame([], table.ddl).schema)
        if table.partition:
            builder = builder.partitionedBy(*table.partition)
        # Delta would look for the least and greatest value of every column, of which most are spread over all files.
        spans = {} if table.order is None else {"delta.dataSkippingStatsColumns": table.order}
        for key, value in {CHANGE_FEED: "true", FORMAT: FORMAT_VERSION, **spans, **(properties or {})}.items():
            builder = builder.property(key, value)
        with self.commit(table.name):
            builder.execute()

    def append(self, frame: DataFrame, name: str, options: Mapping[str, str] | None = None) -> int:
        """Add rows to a table, creating it if needed; returns its new version."""
        return self._write(frame, name, "append", options=ALLOW_NEW_COLUMNS | dict(options or {}))

    def append_rows(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
        """Add a few rows, each a value by column, to ``table``, creating it if needed; returns its new version."""
        self.ensure(table)
        return self.append(self.rows(table, rows), table.name)

    def rows(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
        """A few rows of ``table``, each a value by column."""
        ordered = [tuple(row[name] for name in table.names) for row in rows]
        return self.spark.createDataFrame(ordered, table.ddl)

    def overwrite(
        self,
        frame: DataFrame,
        name: str,
        partition_by: Sequence[str] = (),
        where: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> int:
        """Replace a table (or the rows for which ``where`` holds) in one commit; returns its new version."""
        extent = {"replaceWhere": where, **ALLOW_NEW_COLUMNS} if where else {"overwriteSchema": "true"}
        return self._write(frame, name, "overwrite", partition_by, extent | dict(options or {}))

    def replace(
        self, frame: DataFrame, name: str, properties: Mapping[str, str], partition_by: Sequence[str] = ()
    ) -> int:
        """Replace a table together with its properties in one commit, so that neither is seen without the other."""
        writer = frame.writeTo(self.identifier(name)).using("delta")
        for key, value in properties.items():
            writer = writer.tableProperty(key, value)
        if partition_by:
            writer = writer.partitionedBy(*(F.col(column) for column in partition_by))
        with self.commit(name):
            writer.createOrReplace()
        return self.version(name)

    def delete(self, name: str, condition: Column) -> None:
        """Remove the rows of a table for which ``condition`` holds."""
        with self.commit(name):
            self.delta_table(name).delete(condition)

    def properties(self, name: str) -> dict[str, str]:
        jvm: Any = self.spark._jvm
        configuration = self.snapshot(name).metadata().configuration()
        return dict(jvm.scala.jdk.javaapi.CollectionConverters.asJava(configuration))

    def set_properties(self, name: str, properties: Mapping[str, str]) -> None:
        """``properties`` hold no quotes."""
        listed = ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())
        with self.commit(name):
            self.spark.sql(f"ALTER TABLE {self._checked(name)} SET TBLPROPERTIES ({listed})")

    def names(self) -> list[str]:
        """All tables under this root, including any that are not ours."""
        if self.root.startswith(CATALOG):
            found = self.spark.sql(f"SHOW TABLES IN {self.root.removeprefix(CATALOG)}").collect()
            return [each["tableName"] for each in found]
        path, files = self._files(self.root)
        return [each.getPath().getName() for each in files.listStatus(path) if each.isDirectory()]

    def drop(self, name: str) -> None:
        """Remove a table and its files."""
        with self.commit(name):
            if self.root.startswith(CATALOG):
                self.spark.sql(f"DROP TABLE IF EXISTS {self.identifier(name)}")
                return
            path, files = self._files(self.location(name))
            files.delete(path, True)

    def _files(self, address: str) -> tuple[Any, Any]:
        """Hadoop's path of an address, and the file system it is on."""
        context = self.spark.sparkContext
        path = context._jvm.org.apache.hadoop.fs.Path(address)  # type: ignore[union-attr]
        return path, path.getFileSystem(context._jsc.hadoopConfiguration())

    def location(self, name: str) -> str:
        """The table's name in the catalog, or its folder."""
        if self.root.startswith(CATALOG):
            return f"{self.root.removeprefix(CATALOG)}.{name}"
        return f"{self.root}/{name}"

    def delta_table(self, name: str) -> DeltaTable:
        self._check_exists(name)
        if self.root.startswith(CATALOG):
            return DeltaTable.forName(self.spark, self.identifier(name))
        return DeltaTable.forPath(self.spark, self.location(name))

    def snapshot(self, name: str) -> Any:  # noqa: ANN401 - Delta's own Java object
        """Delta's newest snapshot of a table, read on the driver: DESCRIBE HISTORY would start a Spark job for it.

        Raises ExpectedError when there is no such table.
        """
        jvm: Any = self.spark._jvm
        nothing = jvm.scala.Option.empty()
        return self.delta_log(name).update(False, nothing, nothing)

    def delta_log(self, name: str) -> Any:  # noqa: ANN401 - Delta's own Java object
        """Delta's log of a table. Raises ExpectedError when there is no such table."""
        self._check_exists(name)
        jvm: Any = self.spark._jvm
        table: Any = self.location(name)
        if self.root.startswith(CATALOG):
            database = jvm.scala.Option.apply(self.root.removeprefix(CATALOG))
            table = jvm.org.apache.spark.sql.catalyst.TableIdentifier(name, database)
        return jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self.spark._jsparkSession, table)

    def _forget_log(self, name: str) -> None:
        """Let Delta read a table's log anew when it is asked next."""
        jvm: Any = self.spark._jvm
        path = jvm.org.apache.hadoop.fs.Path(self.location(name))
        jvm.org.apache.spark.sql.delta.DeltaLog.invalidateCache(self.spark._jsparkSession, path)

    def _check_exists(self, name: str) -> None:
        if not self.exists(name):
            raise ExpectedError(f"warehouse {self.root} has no table {name}; run the job that writes it first")

    def _check_database(self) -> None:
        database = self.root.removeprefix(CATALOG)
        if self.root.startswith(CATALOG) and not self.spark.catalog.databaseExists(database):
            raise ExpectedError(f"warehouse {self.root}: there is no database {database}; create it")

    @contextmanager
    def commit(self, name: str) -> Iterator[None]:
        """A write to a table. Raises RetryableError when another job wrote to it at the same time."""
        for check in self._checks:
            check()
        try:
            yield
        except CONFLICTS as error:
            conflict = type(error).__name__
            raise RetryableError(
                f"table {name}: another job wrote to it at the same time ({conflict}); run again"
            ) from error

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
        with self.commit(name):
            if self.root.startswith(CATALOG):
                writer.saveAsTable(self.identifier(name))
            else:
                writer.save(self.location(name))
        return self.version(name)


def _absolute(root: str) -> str:
    """A relative folder as a whole path: Delta makes tables only at those."""
    return root if root.startswith(CATALOG) or "://" in root else str(Path(root).absolute())
