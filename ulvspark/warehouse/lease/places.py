"""Where the leases of a warehouse stand: in its folder, or in its bucket, or where its database is."""

from functools import lru_cache
from typing import Any

from ulvspark.contract.errors import ExpectedError
from ulvspark.warehouse.lease.folder import FolderPlace
from ulvspark.warehouse.lease.record import Place
from ulvspark.warehouse.tables import Warehouse

S3A_OPTIONS = {
    "aws_access_key_id": "fs.s3a.access.key",
    "aws_secret_access_key": "fs.s3a.secret.key",
    "aws_session_token": "fs.s3a.session.token",
    "region_name": "fs.s3a.endpoint.region",
    "endpoint_url": "fs.s3a.endpoint",
}
"""Options of boto3's client, and the settings of s3a that say the same; boto3 finds those that are not set."""


def place_of(warehouse: Warehouse) -> Place:
    """Where the leases of ``warehouse`` stand. Raises ExpectedError where they cannot be kept."""
    address = warehouse.address().rstrip("/")
    if address.startswith(("s3a://", "s3://")):
        return _s3_place(address, tuple(_s3_options(warehouse).items()))
    if "://" in address.replace("file:///", "/"):
        raise ExpectedError(
            f"warehouse {warehouse.root} is at {address}, where no two runs can be kept apart; move it to a folder or "
            "to s3a://"
        )
    return FolderPlace("/" + address.removeprefix("file:").lstrip("/"))


@lru_cache(maxsize=8)
def _s3_place(address: str, options: tuple[tuple[str, str], ...]) -> Place:
    # boto3 takes more than half a second to import, and a folder needs none of it.
    from ulvspark.warehouse.lease.s3 import S3Place  # noqa: PLC0415

    return S3Place(address, dict(options))


def _s3_options(warehouse: Warehouse) -> dict[str, str]:
    java: Any = warehouse.spark.sparkContext._jsc
    hadoop = java.hadoopConfiguration()
    options = {option: hadoop.get(setting) for option, setting in S3A_OPTIONS.items()}
    endpoint = options["endpoint_url"]
    if endpoint and "://" not in endpoint:
        secure = hadoop.getBoolean("fs.s3a.connection.ssl.enabled", True)
        options["endpoint_url"] = f"{'https' if secure else 'http'}://{endpoint}"
    return {option: value for option, value in options.items() if value}
