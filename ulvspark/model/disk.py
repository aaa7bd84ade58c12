"""A full disk, said in one sentence."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ulvspark.contract.errors import ExpectedError


@contextmanager
def told_when_full(doing: str) -> Iterator[None]:
    """Raises ExpectedError where the block runs out of disk space while ``doing``."""
    try:
        yield
    except Exception as error:
        # safetensors reports it in the text of an error of its own.
        if getattr(error, "errno", None) != errno.ENOSPC and "No space left on device" not in str(error):
            raise
        raise ExpectedError(
            f"no space left on disk while {doing}; free some and try again (what was there before is unchanged)"
        ) from error
