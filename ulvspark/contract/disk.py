"""A full disk, said in one sentence."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ulvspark.contract.errors import ExpectedError

IN_WORDS = ("No space left on device", "inline_container", "iostream error")
"""How safetensors, and torch.save of much and of little, tell of a full disk, in errors of their own."""


@contextmanager
def told_when_full(doing: str) -> Iterator[None]:
    """Raises ExpectedError where the block runs out of disk space while ``doing``."""
    try:
        yield
    except Exception as error:
        if getattr(error, "errno", None) != errno.ENOSPC and not any(words in str(error) for words in IN_WORDS):
            raise
        raise ExpectedError(
            f"no space left on disk while {doing}; free some and try again (what was there before is unchanged)"
        ) from error
