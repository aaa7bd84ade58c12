"""Leases on S3: an object each, written only where it is what was read before."""

from collections.abc import Mapping

from ulvspark.contract.storage.s3 import connect, put_if, s3_errors_explained
from ulvspark.warehouse.lease.folder import FOLDER
from ulvspark.warehouse.lease.record import Record


class S3Place:
    """Objects ``_leases/NAME.json`` below a prefix; the tag is the object's ETag."""

    def __init__(self, root: str, options: Mapping[str, str]) -> None:
        self.root = root
        self._bucket, _, prefix = root.partition("://")[2].partition("/")
        self._prefix = f"{prefix}/{FOLDER}/".lstrip("/")
        self._client = connect(root, options)

    def read(self, name: str) -> tuple[Record, str] | None:
        with s3_errors_explained(self.root):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
            except self._client.exceptions.NoSuchKey:
                return None
            return Record.from_json(answer["Body"].read().decode()), answer["ETag"]

    def swap(self, name: str, record: Record, tag: str | None) -> str | None:
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        with s3_errors_explained(self.root):
            return put_if(self._client, self._bucket, self._key(name), record.to_json().encode(), condition)

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}.json"
