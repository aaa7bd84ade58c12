"""Tables at fixed versions, so that everything a run reads belongs together."""

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame

from ulvspark.contract.schema import Table
from ulvspark.warehouse.tables import Warehouse


@dataclass(frozen=True)
class PinnedTables:
    """Tables of a warehouse, each at the version that was the newest when they were pinned."""

    warehouse: Warehouse
    versions: Mapping[str, int]

    def read(self, table: Table) -> DataFrame:
        """The rows of ``table`` at its pinned version."""
        return self.warehouse.read(table.name, self.versions[table.name])


def pin(warehouse: Warehouse, *tables: Table) -> PinnedTables:
    """Pin ``tables`` at their newest versions. Raises ExpectedError when one is missing."""
    return PinnedTables(warehouse, {table.name: warehouse.version(table.name) for table in tables})
