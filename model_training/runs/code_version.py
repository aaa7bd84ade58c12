"""Which version of this code runs: a name for people, and a fingerprint that changes with any line of it."""

import hashlib
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ulvspark import __version__

ROOT = Path(__file__).parents[2]
PACKAGES = ("model_training", "ulvspark")


def code_version() -> str:
    """The package's version, and the commit where it runs from a checkout."""
    if not (ROOT / ".git").exists():
        return __version__
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"{__version__}+{described.stdout.strip()}" if described.returncode == 0 else __version__


@cache
def code_fingerprint() -> str:
    """A hash of all source files that training can import, committed or not, as they were when it was first asked for.

    Unlike ``code_version`` it tells two uncommitted states of a checkout apart, and stays the same when something
    other than code is committed.
    """
    return fingerprint(ROOT / package for package in PACKAGES)


def fingerprint(folders: Iterable[Path]) -> str:
    """A hash of the Python files below ``folders``: of their contents and their paths within the folder."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder.parent).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
