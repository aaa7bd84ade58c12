"""Fixtures that more than one test module uses. The Spark session starts only for tests that ask for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ["HF_HUB_OFFLINE"] = "1"
# Tiny models gain nothing from threads, and on a busy machine threads that wait for each other lose a lot.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples every time, and no stopwatch: a busy machine is not a bug.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:  # noqa: F821
    from filelock import FileLock

    from ulvspark.warehouse.session import get_session

    # The first session on a machine downloads Delta's jars; a second one at the same time would find them incomplete.
    with FileLock(tmp_path_factory.getbasetemp().parent / "jars.lock"), pytest.MonkeyPatch.context() as patch:
        # A JVM that runs for minutes gains from Java's optimizing compiler.
        patch.setenv("PYSPARK_SUBMIT_ARGS", "--driver-java-options '-XX:+UseParallelGC' pyspark-shell")
        # An empty folder is small data, so the session has the settings for it.
        session = get_session("tests", reads=[str(tmp_path_factory.mktemp("empty"))])
    yield session
    session.stop()


@pytest.fixture
def warehouse(spark: "SparkSession", tmp_path: Path) -> "Warehouse":  # noqa: F821
    from ulvspark.warehouse.tables import Warehouse

    return Warehouse(spark, str(tmp_path / "warehouse"))


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator["S3Endpoint"]:  # noqa: F821
    from tests import s3_server

    with s3_server.running(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture
def s3_bucket(s3_endpoint: "S3Endpoint", monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: F821
    """An address in a bucket of its own, with the environment set for whatever reads it."""
    import uuid

    import boto3

    for name, value in s3_endpoint.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"test-{uuid.uuid4().hex}"
    boto3.Session().client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/models"


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random BERT with two narrow layers and a tokenizer of letters."""
    from tests import tiny

    return tiny.bert_folder(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """A bundle around ``tiny_bert`` with all heads; copy it before changing it."""
    from tests import tiny

    return tiny.bundle_folder(tmp_path_factory.mktemp("bundle") / "tiny", tiny_bert)


@pytest.fixture(scope="session")
def training_warehouse(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A warehouse with the made-up training set of ``tests.training_set``; not to be changed."""
    from tests import training_set

    return str(training_set.write(tmp_path_factory.mktemp("training")))
