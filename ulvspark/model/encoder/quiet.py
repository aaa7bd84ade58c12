"""Keeps transformers from drawing bars and reports where nobody asked for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers.utils import logging


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bar of weights read or written, and no report of a missing pooler, which we drop anyway."""
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
