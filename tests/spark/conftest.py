"""Fixtures of tests that start Spark."""

import pytest

from ulvspark.warehouse.tables import Warehouse


@pytest.fixture(params=["folder", "catalog"])
def place(request, spark, tmp_path, monkeypatch):
    """A warehouse in a folder given by a relative path, and one by names in the catalog."""
    if request.param == "folder":
        monkeypatch.chdir(tmp_path)
        yield Warehouse(spark, "relative/warehouse")
        return
    spark.sql(f"CREATE DATABASE place LOCATION '{tmp_path / 'place.db'}'")
    yield Warehouse(spark, "catalog:place")
    spark.sql("DROP DATABASE place CASCADE")
