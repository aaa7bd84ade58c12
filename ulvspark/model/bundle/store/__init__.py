"""Where bundles are published: versions that never change, and aliases such as ``champion`` that point at one."""

from pathlib import Path
from urllib.parse import urlsplit

from ulvspark.contract.errors import ExpectedError
from ulvspark.model.bundle.store.folder import FolderStore
from ulvspark.model.bundle.store.interface import Store


def open_store(root: str) -> Store:
    """The store in a folder, or in ``s3://bucket/prefix`` (``s3a://`` is the same), which need not hold anything yet.

    S3's address and credentials are those that boto3 finds: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on.
    Raises ExpectedError for an address of another kind.
    """
    parts = urlsplit(root)
    if parts.scheme in ("s3", "s3a"):
        # boto3 takes more than half a second to import, and a folder needs none of it.
        from ulvspark.model.bundle.store.s3 import S3Store  # noqa: PLC0415

        return S3Store(parts.netloc, parts.path.strip("/"))
    if "://" in root:
        raise ExpectedError(f"{root}: a model store is a folder or an s3:// address; give one of these")
    return FolderStore(Path(root))
