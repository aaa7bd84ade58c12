"""Turns what Spark says of files that it cannot read into one sentence."""

import re

from py4j.protocol import Py4JJavaError

_HEADER_DIFFERS = re.compile(r"Header: (?P<found>.*)\n\s*Schema: (?P<wanted>.*)\n(?:.*\n)*?\s*CSV file: (?P<file>\S+)")
_HEADER_LENGTH = re.compile(r"Header length: (?P<found>\d+), schema size: (?P<wanted>\d+)\s+CSV file: (?P<file>\S+)")


def first_line(error: Exception) -> str:
    """What an error of Spark says, without its stack trace and plan."""
    message = error.java_exception.getMessage() if isinstance(error, Py4JJavaError) else str(error)
    return str(message).splitlines()[0]


def header_that_differs(error: Exception) -> str | None:
    """What to say of a CSV file whose header is not that of the files beside it; None for another error."""
    text = _with_causes(error)
    if differs := _HEADER_DIFFERS.search(text):
        return different_columns(differs["file"], differs["found"], differs["wanted"])
    if differs := _HEADER_LENGTH.search(text):
        return different_columns(differs["file"], f"{differs['found']} columns", differs["wanted"])
    return None


def different_columns(file: str, found: str, wanted: str) -> str:
    """What to say of a CSV file with the columns ``found`` beside one with the columns ``wanted``."""
    return (
        f"CSV file {file} has {found}, but another file of its table has {wanted}; give all files of a table the same "
        "columns in the same order"
    )


def _with_causes(error: Exception) -> str:
    if not isinstance(error, Py4JJavaError):
        return str(error)
    messages, cause = [], error.java_exception
    while cause is not None:
        messages.append(str(cause.getMessage()))
        cause = cause.getCause()
    return "\n".join(messages)
