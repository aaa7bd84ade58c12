"""Turns S3 errors that a user can do something about into one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

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

from ulvspark.contract.errors import ExpectedError

REMEDIES = {
    "NoSuchBucket": "create the bucket or correct the address",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "check that these credentials may read and write there",
    "ExpiredToken": "renew the temporary credentials",
    "404": "a file of the bundle is gone; publish the bundle again",
}
OTHER_REMEDY = "look that code up in the store's documentation and try again"


@contextmanager
def s3_errors_as_expected_errors(root: str) -> Iterator[None]:
    """Raises ExpectedError, which names the store ``root`` and what to do, for any error of boto3 in the block."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ExpectedError(f"{root}: {error}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
    except (UnreachableError, HTTPClientError) as error:
        raise ExpectedError(f"{root}: cannot reach the store ({error}); check AWS_ENDPOINT_URL") from error
    except S3UploadFailedError as error:
        raise ExpectedError(f"{root}: {error}; check that these credentials may write there") from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise ExpectedError(f"{root}: the store answers {code}; {REMEDIES.get(code, OTHER_REMEDY)}") from error
    except BotoCoreError as error:
        # A profile, region or bucket name that is not possible.
        raise ExpectedError(f"{root}: {error}; correct the address or the AWS_ variables") from error
