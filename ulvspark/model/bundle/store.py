"""Where bundles are published: versions that never change, and aliases that move by compare-and-swap."""

import fcntl
import logging
import os
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as UnreachableError,
)

from ulvspark.contract.disk import full_disk_as_expected_error
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.bundle.manifest import MANIFEST, VERSION_PATTERN, read_manifest, verify

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

ALIAS_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

HINTS = {
    "NoSuchBucket": "create the bucket or correct the address",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "check that these credentials may read and write there",
    "ExpiredToken": "renew the temporary credentials",
    "404": "a file of the bundle is gone; publish the bundle again",
}

LOOK = "look up what that means there, and try again"


def open_store(root: str) -> "LocalStore | S3Store":
    """The store in a folder, or in ``s3://bucket/prefix`` (``s3a://`` is the same), which need not hold anything yet.

    S3's address and credentials are those that boto3 finds: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on.
    Raises ExpectedError for an address of another kind.
    """
    parts = urlsplit(root)
    if parts.scheme in ("s3", "s3a"):
        return S3Store(parts.netloc, parts.path.strip("/"))
    if "://" in root:
        raise ExpectedError(f"{root}: a model store is a folder or an s3:// address; give one of these")
    return LocalStore(Path(root))


class Store(ABC):
    """What local folders and S3 have in common."""

    root: str

    @abstractmethod
    def publish(self, folder: str | Path) -> str:
        """Copy a bundle in, readable all at once, and return its version; one that is there already is left alone.

        Raises ExpectedError where the bundle is incomplete or corrupted.
        """

    @abstractmethod
    def fetch(self, name: str, into: str | Path) -> Path:
        """The folder of a version or alias on this machine, downloaded below ``into`` where it is not local already.

        Raises ExpectedError where there is no such version or alias, or what arrived is corrupted.
        """

    def resolve(self, name: str) -> str:
        """The version that a version or alias stands for. Raises ExpectedError where there is none."""
        version = name if VERSION_PATTERN.fullmatch(name) else self.current(name)
        if version is None:
            raise ExpectedError(f"{self.root}: no alias {name!r}; publish a bundle and point the alias at it first")
        if not self.holds(version):
            raise ExpectedError(f"{self.root}: no bundle of version {version}; publish it first")
        return version

    @abstractmethod
    def holds(self, version: str) -> bool:
        """Whether a bundle of this version is there."""

    def current(self, alias: str) -> str | None:
        """The version that an alias stands for; None where there is no such alias."""
        return self._alias(alias) if ALIAS_PATTERN.fullmatch(alias) else None

    def point(self, alias: str, version: str, expected: str | None) -> None:
        """Move ``alias`` to ``version`` if it still stands for ``expected`` (None: if it does not exist).

        Raises ExpectedError where the version is not there, or another writer was faster.
        """
        if VERSION_PATTERN.fullmatch(alias) or not ALIAS_PATTERN.fullmatch(alias):
            raise ExpectedError(f"{alias!r} cannot be an alias; use letters, digits, dots and dashes, such as champion")
        self.resolve(version)
        if not self._swap(alias, version, expected):
            raise ExpectedError(
                f"{self.root}: alias {alias!r} stands for {self._alias(alias)}, not for {expected} as expected;"
                " someone moved it meanwhile, so look at it and try again"
            )
        logger.info("%s: alias %s moved from %s to %s", self.root, alias, expected, version)

    @abstractmethod
    def _alias(self, alias: str) -> str | None:
        """The version it stands for; None where there is no such alias."""

    @abstractmethod
    def _swap(self, alias: str, version: str, expected: str | None) -> bool:
        """Compare-and-swap; False where the alias did not stand for ``expected``."""


class LocalStore(Store):
    """A folder: ``versions/VERSION/`` and ``aliases/ALIAS``, a text file."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._versions, self._aliases = root / "versions", root / "aliases"

    def publish(self, folder: str | Path) -> str:
        version = verify(Path(folder)).version
        self._versions.mkdir(parents=True, exist_ok=True)
        doing = f"publishing bundle {version} in {self.root}"
        with full_disk_as_expected_error(doing), tempfile.TemporaryDirectory(prefix=".", dir=self._versions) as scratch:
            copy = shutil.copytree(folder, Path(scratch) / version)
            try:
                copy.rename(self._versions / version)
            except OSError:
                # Published before, or in this moment by someone else: the version says that it is the same.
                if not self.holds(version):
                    raise
        return version

    def fetch(self, name: str, into: str | Path) -> Path:
        return self._versions / self.resolve(name)

    def _alias(self, alias: str) -> str | None:
        try:
            return (self._aliases / alias).read_text(encoding="utf-8").strip()
        except (FileNotFoundError, IsADirectoryError):
            return None

    def holds(self, version: str) -> bool:
        return (self._versions / version / MANIFEST).is_file()

    def _swap(self, alias: str, version: str, expected: str | None) -> bool:
        self._aliases.mkdir(parents=True, exist_ok=True)
        with (self._aliases / ".lock").open("w") as lock:
            # Released when this process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._alias(alias) != expected:
                return False
            new = self._aliases / f".{alias}.{os.getpid()}"
            new.write_text(f"{version}\n", encoding="utf-8")
            new.replace(self._aliases / alias)
            return True


class S3Store(Store):
    """Objects below a prefix: ``versions/VERSION/...`` and ``aliases/ALIAS``, laid out as in a folder."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.root = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = self._connected()

    def _connected(self) -> "S3Client":
        try:
            with self._explained():
                # A session of its own: the default one is not for threads and keeps the credentials it first saw.
                return boto3.Session().client("s3")
        except ValueError as error:
            raise ExpectedError(f"{self.root}: {error}; correct AWS_ENDPOINT_URL") from None

    def publish(self, folder: str | Path) -> str:
        folder = Path(folder)
        manifest = verify(folder)
        if self.holds(manifest.version):
            return manifest.version
        with self._explained():
            for name in manifest.files:
                self._client.upload_file(str(folder / name), self._bucket, self._file(manifest.version, name))
        # Last and only if absent: a version is there once its manifest is. Who is faster publishes the same.
        self._put(self._file(manifest.version, MANIFEST), (folder / MANIFEST).read_bytes(), IfNoneMatch="*")
        return manifest.version

    def fetch(self, name: str, into: str | Path) -> Path:
        version = self.resolve(name)
        target = Path(into) / version
        if target.exists():
            verify(target)
            return target
        Path(into).mkdir(parents=True, exist_ok=True)
        doing = f"fetching bundle {version} into {into}"
        with full_disk_as_expected_error(doing), tempfile.TemporaryDirectory(prefix=".", dir=into) as scratch:
            partial = Path(scratch) / version
            self._download(version, partial)
            verify(partial)
            partial.rename(target)
        return target

    def _download(self, version: str, folder: Path) -> None:
        with self._explained():
            self._get_file(version, MANIFEST, folder)
            for name in read_manifest(folder).files:
                self._get_file(version, name, folder)

    def _get_file(self, version: str, name: str, folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        self._client.download_file(self._bucket, self._file(version, name), str(folder / name))

    def _file(self, version: str, name: str) -> str:
        return f"{self._prefix}versions/{version}/{name}"

    def _alias_key(self, alias: str) -> str:
        return f"{self._prefix}aliases/{alias}"

    def _alias(self, alias: str) -> str | None:
        found = self._get(self._alias_key(alias))
        return None if found is None else found[0]

    def holds(self, version: str) -> bool:
        return self._get(self._file(version, MANIFEST)) is not None

    def _swap(self, alias: str, version: str, expected: str | None) -> bool:
        key, content = self._alias_key(alias), f"{version}\n".encode()
        if expected is None:
            return self._put(key, content, IfNoneMatch="*")
        found = self._get(key)
        return found is not None and found[0] == expected and self._put(key, content, IfMatch=found[1])

    def _get(self, key: str) -> tuple[str, str] | None:
        """Text and ETag of an object; None where there is none."""
        with self._explained():
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key)
            except self._client.exceptions.NoSuchKey:
                return None
            return answer["Body"].read().decode().strip(), answer["ETag"]

    def _put(self, key: str, content: bytes, **condition: str) -> bool:
        """Write an object if ``condition`` holds; False where it does not."""
        with self._explained():
            try:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=content, **condition)  # type: ignore[arg-type]
            except ClientError as error:
                if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
                    return False
                raise
        return True

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Errors that a user can do something about, as ExpectedError."""
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise ExpectedError(f"{self.root}: {error}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
        except (UnreachableError, HTTPClientError) as error:
            raise ExpectedError(f"{self.root}: cannot reach the store ({error}); check AWS_ENDPOINT_URL") from error
        except S3UploadFailedError as error:
            raise ExpectedError(f"{self.root}: {error}; check that these credentials may write there") from error
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise ExpectedError(f"{self.root}: the store answers {code}; {HINTS.get(code, LOOK)}") from error
        except BotoCoreError as error:
            # Of a profile, a region or a bucket's name that cannot be.
            raise ExpectedError(f"{self.root}: {error}; correct the address or the AWS_ variables") from error
