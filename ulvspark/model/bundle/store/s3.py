"""Bundles in an S3 bucket, or in any store that speaks its protocol with conditional writes."""

import tempfile
from pathlib import Path

from ulvspark.contract.storage.disk import full_disk_as_expected_error
from ulvspark.contract.storage.s3 import connect, put_if, s3_errors_explained
from ulvspark.model.bundle.files import verify
from ulvspark.model.bundle.manifest import MANIFEST, read_manifest
from ulvspark.model.bundle.store.interface import Store


class S3Store(Store):
    """Objects below a prefix, laid out as in a folder: ``versions/VERSION/...`` and ``aliases/ALIAS``."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.root = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = connect(self.root)

    def publish(self, folder: str | Path) -> str:
        folder = Path(folder)
        manifest = verify(folder)
        if self.holds(manifest.version):
            return manifest.version
        with s3_errors_explained(self.root):
            for name in manifest.files:
                self._client.upload_file(str(folder / name), self._bucket, self._file_key(manifest.version, name))
        # Last, since a version counts as published once its manifest is there; two writers publish equal files.
        self._put(self._file_key(manifest.version, MANIFEST), (folder / MANIFEST).read_bytes(), IfNoneMatch="*")
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
        with s3_errors_explained(self.root):
            self._download_file(version, MANIFEST, folder)
            for name in read_manifest(folder).files:
                self._download_file(version, name, folder)

    def _download_file(self, version: str, name: str, folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        self._client.download_file(self._bucket, self._file_key(version, name), str(folder / name))

    def holds(self, version: str) -> bool:
        return self._get(self._file_key(version, MANIFEST)) is not None

    def _read_alias(self, alias: str) -> str | None:
        answer = self._get(self._alias_key(alias))
        return None if answer is None else answer[0]

    def _swap_alias(self, alias: str, version: str, expected: str | None) -> bool:
        key, content = self._alias_key(alias), f"{version}\n".encode()
        if expected is None:
            return self._put(key, content, IfNoneMatch="*")
        answer = self._get(key)
        return answer is not None and answer[0] == expected and self._put(key, content, IfMatch=answer[1])

    def _file_key(self, version: str, name: str) -> str:
        return f"{self._prefix}versions/{version}/{name}"

    def _alias_key(self, alias: str) -> str:
        return f"{self._prefix}aliases/{alias}"

    def _get(self, key: str) -> tuple[str, str] | None:
        """Text and ETag of an object; None where there is none."""
        with s3_errors_explained(self.root):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key)
            except self._client.exceptions.NoSuchKey:
                return None
            return answer["Body"].read().decode().strip(), answer["ETag"]

    def _put(self, key: str, content: bytes, **condition: str) -> bool:
        """Write an object if ``condition`` holds; False where it does not."""
        with s3_errors_explained(self.root):
            return put_if(self._client, self._bucket, key, content, condition) is not None
