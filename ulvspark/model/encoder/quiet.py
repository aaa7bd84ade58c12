"""Silences the progress bars and reports that transformers prints when it reads or writes weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars, and no report about a missing pooler (``load_backbone`` drops it anyway)."""
    from transformers.utils import logging  # noqa: PLC0415 - takes seconds, and scoring needs none of it

    untyped: Any = logging
    verbosity, bars = untyped.get_verbosity(), untyped.is_progress_bar_enabled()
    untyped.set_verbosity_error()
    untyped.disable_progress_bar()
    try:
        yield
    finally:
        untyped.set_verbosity(verbosity)
        if bars:
            untyped.enable_progress_bar()
