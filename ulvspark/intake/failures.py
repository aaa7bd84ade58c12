"""Ends a load in one sentence where its source fails while it is read: a damaged file, or an expression on some row."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from ulvspark.contract.errors import ExpectedError
from ulvspark.intake.columns.expressions import MappedTable, failing_expression
from ulvspark.intake.reading.read_errors import first_line, header_that_differs


@contextmanager
def read_errors_as_expected(tables: Sequence[MappedTable]) -> Iterator[None]:
    """Put this around the first action on what ``read_source`` gives for ``tables``.

    Raises ExpectedError that says which file cannot be read, or which expression fails on some row.
    """
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        if (differs := header_that_differs(error)) is not None:
            raise ExpectedError(differs) from None
        if "FAILED_READ_FILE" in (message := first_line(error)):
            raise ExpectedError(f"a source table cannot be read to its end: {message}") from None
        # An error of the machine or the cluster comes as another kind.
        failing = _failing(tables, error) if isinstance(error, PySparkException) else None
        if failing is None:
            raise
        raise ExpectedError(failing) from None


def _failing(tables: Sequence[MappedTable], error: PySparkException) -> str | None:
    """Which expression fails with ``error``; None where none does. Spark's message may hold values: it is left out."""
    for table in tables:
        failing = failing_expression(table)
        if failing is not None and _kind(failing[1]) == _kind(error):
            return f"{failing[0]} fails on some row ({_kind(error)}); {_CURES.get(_kind(error), _OTHERWISE)}"
    return None


def _kind(error: PySparkException) -> str:
    return error.getCondition() or type(error).__name__


_OTHERWISE = "correct it, or let it give null there"
_CURES = {"NULL_MAP_KEY": "use coalesce() for a key that may be null"}
