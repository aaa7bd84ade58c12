"""Errors of Java and Spark that say that something outside did not answer: another try may mend them."""

from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError, Py4JNetworkError
from pyspark.errors.exceptions.captured import CapturedException

from ulvspark.contract.errors import RetryableError

NO_ANSWER = (
    "java.net.ConnectException",
    "java.net.NoRouteToHostException",
    "java.net.SocketException",
    "java.net.SocketTimeoutException",
    "java.net.UnknownHostException",
    "java.net.http.HttpTimeoutException",
    "org.apache.hadoop.net.ConnectTimeoutException",
    "org.apache.http.NoHttpResponseException",
    "org.apache.http.conn.ConnectTimeoutException",
    "org.apache.thrift.transport.TTransportException",
    "software.amazon.awssdk.core.exception.ApiCallAttemptTimeoutException",
    "software.amazon.awssdk.core.exception.ApiCallTimeoutException",
    "org.apache.hadoop.fs.s3a.AWSApiCallTimeoutException",
    "org.apache.hadoop.fs.s3a.AWSServiceThrottledException",
    "org.apache.hadoop.fs.s3a.AWSStatus500Exception",
)
"""Names of Java's exceptions, as they stand in a stack trace."""

S3A_SETTINGS = {
    # A call, with the tries that Amazon's library makes of it; s3a takes no shorter time.
    "spark.hadoop.fs.s3a.connection.request.timeout": "15s",
    "spark.hadoop.fs.s3a.connection.establish.timeout": "15s",
    "spark.hadoop.fs.s3a.connection.timeout": "15s",
    "spark.hadoop.fs.s3a.attempts.maximum": "3",
    # And once more.
    "spark.hadoop.fs.s3a.retry.limit": "1",
}
"""With these, s3a gives up a store that refuses connections in half a minute and a silent one in a minute.

By default it tries for half an hour.
"""


@contextmanager
def outages_as_retryable(root: str) -> Iterator[None]:
    """Raises RetryableError, which names the warehouse ``root``, where an error in the block comes from an outage."""
    try:
        yield
    except (Py4JJavaError, CapturedException, Py4JNetworkError) as error:
        if (cause := outage(error)) is None:
            raise
        raise RetryableError(
            f"warehouse {root}, or a source that is read into it, does not answer ({cause}); "
            "try again, and check the network and the address if it stays so"
        ) from error


def outage(error: Exception) -> str | None:
    """The outage that an error of Spark or Java tells of, by its Java name; None where it tells of none."""
    if isinstance(error, Py4JNetworkError):
        return "Spark's driver has gone"
    trace = _stack_trace(error)
    return next((name for name in NO_ANSWER if f"{name}:" in trace), None)


def _stack_trace(error: Exception) -> str:
    """All that is known of an error: causes on executors stand in the message alone."""
    java_error = error.java_exception if isinstance(error, Py4JJavaError) else getattr(error, "_origin", None)
    lines = [str(error)]
    while java_error is not None:
        lines.append(f"{java_error.getClass().getName()}: {java_error.getMessage()}")
        java_error = java_error.getCause()
    return "\n".join(lines)
