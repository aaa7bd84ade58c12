"""Writing to disk: folders that appear whole or not at all, and a full disk as one sentence."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ulvspark.contract.errors import ExpectedError

FULL_DISK_MESSAGES = ("No space left on device", "inline_container", "iostream error")
"""What errors of safetensors, and of torch.save for many and for few weights, say where the disk is full."""


@contextmanager
def full_disk_as_expected_error(doing: str, left: str = "what was there before is unchanged") -> Iterator[None]:
    """Raises ExpectedError where the block runs out of disk space while ``doing``; ``left`` says what is there then."""
    try:
        yield
    except Exception as error:
        full = getattr(error, "errno", None) == errno.ENOSPC
        if not full and not any(message in str(error) for message in FULL_DISK_MESSAGES):
            raise
        raise ExpectedError(f"no space left on disk while {doing}; free some and try again ({left})") from error


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, which gets the name ``folder`` when the block ends; an error removes it.

    The renaming is one atomic step, so whoever looks at ``folder`` finds all of it or nothing, even after a kill (which
    may leave a hidden folder beside it). Raises ExpectedError where ``folder`` exists: it is never replaced.
    """
    if folder.exists():
        raise ExpectedError(f"{folder} exists and is not overwritten; give another folder or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp lets nobody else read it
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
