"""Fixtures that more than one test module uses. The Spark session starts only for tests that ask for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def spark() -> Iterator["SparkSession"]:  # noqa: F821
    from ulvspark.warehouse.session import get_session

    session = get_session("tests")
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()


@pytest.fixture
def warehouse(spark: "SparkSession", tmp_path: Path) -> "Warehouse":  # noqa: F821
    from ulvspark.warehouse.tables import Warehouse

    return Warehouse(spark, str(tmp_path / "warehouse"))
