"""S3: a client that gives up within half a minute, and its errors as one sentence each."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
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

from ulvspark.contract.errors import ExpectedError, RetryableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

GIVES_UP_SOON = Config(connect_timeout=7, read_timeout=7, retries={"mode": "standard", "total_max_attempts": 3})
"""Three tries of seven seconds each, and the pauses between them, are less than 30 seconds."""

CONDITION_FAILED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")

REMEDIES = {
    "NoSuchBucket": "create the bucket or correct the address",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "check that these credentials may read and write there",
    "ExpiredToken": "renew the temporary credentials",
    "404": "a file of the bundle is gone; publish the bundle again",
}
OTHER_REMEDY = "look that code up in the store's documentation and try again"

BUSY = ("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded")
"""Codes below 500 with which a store asks for another try."""


def connect(root: str, options: Mapping[str, str] | None = None) -> "S3Client":
    """A client for the store ``root``; what ``options`` of boto3's client do not say, it finds as boto3 does.

    Raises ExpectedError where the address or the credentials cannot be right.
    """
    try:
        with s3_errors_explained(root):
            # A session of its own: boto3's default one is not safe between threads and keeps its first credentials.
            return boto3.Session().client("s3", config=GIVES_UP_SOON, **(options or {}))  # type: ignore[call-overload, no-any-return]
    except ValueError as error:
        raise ExpectedError(f"{root}: {error}; correct AWS_ENDPOINT_URL") from None


def put_if(client: "S3Client", bucket: str, key: str, content: bytes, condition: Mapping[str, str]) -> str | None:
    """Write an object if ``condition`` (IfMatch or IfNoneMatch) holds; returns its ETag, None where it does not."""
    try:
        return client.put_object(Bucket=bucket, Key=key, Body=content, **condition)["ETag"]  # type: ignore[arg-type]
    except ClientError as error:
        if error.response["Error"]["Code"] in CONDITION_FAILED:
            return None
        raise


@contextmanager
def s3_errors_explained(root: str) -> Iterator[None]:
    """Turns any error of boto3 in the block into one sentence that names the store ``root`` and what to do.

    Raises RetryableError where the store does not answer or is busy, else ExpectedError.
    """
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ExpectedError(f"{root}: {error}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
    except (UnreachableError, HTTPClientError) as error:
        raise RetryableError(f"{root}: cannot reach the store ({error}); check AWS_ENDPOINT_URL") from error
    except S3UploadFailedError as error:
        if isinstance(error.__context__, ClientError) and _is_busy(error.__context__):
            raise RetryableError(f"{root}: {error}; try again") from error
        raise ExpectedError(f"{root}: {error}; check that these credentials may write there") from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if _is_busy(error):
            raise RetryableError(f"{root}: the store answers {code}; try again") from error
        raise ExpectedError(f"{root}: the store answers {code}; {REMEDIES.get(code, OTHER_REMEDY)}") from error
    except BotoCoreError as error:
        # A profile, region or bucket name that is not possible.
        raise ExpectedError(f"{root}: {error}; correct the address or the AWS_ variables") from error


def _is_busy(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or error.response["Error"]["Code"] in BUSY
