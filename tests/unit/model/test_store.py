"""Publishing, fetching and aliases, in a folder and on a real S3 server."""

import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import tiny
from tests.s3_server import S3Endpoint
from ulvspark.contract.errors import ExpectedError, RetryableError
from ulvspark.model.bundle.manifest import MANIFEST, read_manifest
from ulvspark.model.bundle.store import open_store
from ulvspark.model.bundle.store.folder import FolderStore
from ulvspark.model.predictor import Predictor


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "models") if request.param == "local" else request.getfixturevalue("s3_bucket")


@pytest.fixture(scope="module")
def second_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    folder = tmp_path_factory.mktemp("second") / "tiny"
    return tiny.bundle_folder(folder, tiny_bert, tiny.facts().model_copy(update={"seed": 8}))


def test_a_published_bundle_comes_back_and_scores(root: str, tiny_bundle: Path, tmp_path: Path) -> None:
    store = open_store(root)
    version = store.publish(tiny_bundle)
    store.point("champion", version, None)
    assert store.resolve("champion") == store.resolve(version) == version
    folder = open_store(root).fetch("champion", tmp_path / "here")
    Predictor.load(folder).self_test()
    assert store.fetch(version, tmp_path / "here") == folder


def test_publishing_twice_changes_nothing(root: str, tiny_bundle: Path) -> None:
    store = open_store(root)
    assert store.publish(tiny_bundle) == store.publish(tiny_bundle)


def test_two_publish_one_bundle_at_once(root: str, tiny_bundle: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        versions = set(pool.map(lambda _: open_store(root).publish(tiny_bundle), range(4)))
    assert versions == {read_manifest(tiny_bundle).version}
    Predictor.load(open_store(root).fetch(versions.pop(), tmp_path / "here")).self_test()


def test_an_alias_moves_only_from_where_it_is_expected(root: str, tiny_bundle: Path, second_bundle: Path) -> None:
    store = open_store(root)
    first, second = store.publish(tiny_bundle), store.publish(second_bundle)
    with pytest.raises(ExpectedError, match="stands for None"):
        store.point("champion", first, second)
    store.point("champion", first, None)
    with pytest.raises(ExpectedError, match="someone moved it"):
        store.point("champion", second, None)
    with pytest.raises(ExpectedError, match="someone moved it"):
        store.point("champion", second, second)
    assert store.resolve("champion") == first
    store.point("champion", second, first)
    assert store.resolve("champion") == second


@pytest.mark.parametrize("start", [False, True], ids=["new alias", "known alias"])
def test_of_concurrent_moves_exactly_one_wins(root: str, tiny_bundle: Path, second_bundle: Path, start: bool) -> None:
    store = open_store(root)
    first, second = store.publish(tiny_bundle), store.publish(second_bundle)
    if start:
        store.point("champion", first, None)
    stores = [open_store(root) for _ in range(8)]

    def move(writer: int) -> bool:
        try:
            stores[writer].point("champion", second, first if start else None)
        except ExpectedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(move, range(8))) == 1
    assert store.resolve("champion") == second


def test_what_is_not_there_is_said(root: str, tiny_bundle: Path) -> None:
    store = open_store(root)
    for name in ("champion", "../secrets"):
        with pytest.raises(ExpectedError, match="no alias"):
            store.resolve(name)
    with pytest.raises(ExpectedError, match="no bundle of version 20200101-0123456789ab"):
        store.point("champion", "20200101-0123456789ab", None)
    version = store.publish(tiny_bundle)
    for alias in ("a/b", ".lock", version):
        with pytest.raises(ExpectedError, match="cannot be an alias"):
            store.point(alias, version, None)


def test_a_corrupted_bundle_is_not_published(root: str, tiny_bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_bundle, tmp_path / "bad")
    (folder / "README.md").write_text("changed")
    with pytest.raises(ExpectedError, match=r"README\.md"):
        open_store(root).publish(folder)


def test_a_version_without_its_manifest_is_not_there(s3_bucket: str, tiny_bundle: Path, tmp_path: Path) -> None:
    import boto3

    store = open_store(s3_bucket)
    version = store.publish(tiny_bundle)
    bucket = s3_bucket.split("/")[2]
    boto3.Session().client("s3").delete_object(Bucket=bucket, Key=f"models/versions/{version}/{MANIFEST}")
    with pytest.raises(ExpectedError, match="no bundle of version"):
        store.fetch(version, tmp_path)
    assert store.publish(tiny_bundle) == version
    boto3.Session().client("s3").put_object(
        Bucket=bucket, Key=f"models/versions/{version}/heads.safetensors", Body=b"torn"
    )
    with pytest.raises(ExpectedError, match=r"heads\.safetensors: corrupted"):
        store.fetch(version, tmp_path)
    assert not list(tmp_path.iterdir())


def test_users_errors_on_s3_are_explained(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExpectedError, match=r"NoSuchBucket.*create the bucket"):
        open_store("s3://there-is-no-such-bucket").resolve("champion")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ExpectedError, match="AWS_SECRET_ACCESS_KEY"):
        open_store(s3_bucket).resolve("champion")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    with pytest.raises(ExpectedError, match="AWS_ACCESS_KEY_ID"):
        open_store(s3_bucket).resolve("champion")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(RetryableError, match="AWS_ENDPOINT_URL"):
        open_store(s3_bucket).resolve("champion")


def test_missing_credentials_are_explained(s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ExpectedError, match="set AWS_ACCESS_KEY_ID"):
        open_store(s3_bucket).resolve("champion")


@pytest.mark.parametrize(
    ("root", "variable", "value", "message"),
    [
        ("s3://My_Models!/x", "AWS_REGION", "eu-west-1", "(?s)s3://My_Models!/x: .*Invalid bucket name"),
        ("s3://models", "AWS_PROFILE", "nobody", "s3://models: .*nobody.* could not be found; correct"),
        ("s3://models", "AWS_ENDPOINT_URL", "localhost:8333", "s3://models: Invalid endpoint.*; correct AWS_ENDPOINT"),
    ],
)
def test_addresses_that_cannot_be_are_explained(
    root: str, variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(each, "key")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ExpectedError, match=message):
        open_store(root).resolve("champion")


def test_addresses() -> None:
    assert open_store("s3a://bucket/a/b/").root == open_store("s3://bucket/a/b").root == "s3://bucket/a/b"
    assert isinstance(open_store("demo/models"), FolderStore)


def test_an_address_that_is_no_store_is_refused() -> None:
    with pytest.raises(ExpectedError, match="gs://models: a model store is a folder or an s3:// address"):
        open_store("gs://models")


def test_a_store_that_does_not_answer_is_given_up_within_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that takes connections and says nothing: three tries, each as short as the settings make it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = S3Endpoint(f"http://127.0.0.1:{silent.getsockname()[1]}").environment
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        began = time.monotonic()
        with pytest.raises(RetryableError, match=r"s3://models: cannot reach the store .*check AWS_ENDPOINT_URL"):
            open_store("s3://models").resolve("champion")
        assert time.monotonic() - began < 30
