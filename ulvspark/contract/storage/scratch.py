"""One folder for everything temporary of a program, which the next program removes where this one was killed."""

import atexit
import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import IO

LOCK = "lock"
"""The file that a program keeps locked in its folder: the system unlocks it when the program ends, however it ends."""


@cache
def scratch_folder() -> Path:
    """This program's folder, on the disk that holds temporary files; removed when the program ends.

    Temporary files of this program and of those it starts go there too. Folders of programs that were killed, which
    may hold users' data, are removed first.
    """
    everyone = Path(tempfile.gettempdir(), f"ulvspark-{os.getuid()}")
    everyone.mkdir(mode=0o700, exist_ok=True)
    # One program at a time, so that a new folder is never seen before it is locked.
    with _locked(everyone / LOCK, fcntl.LOCK_EX):
        for folder in everyone.iterdir():
            if folder.is_dir() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
        mine = Path(tempfile.mkdtemp(dir=everyone, prefix=""))
        lock = _locked(mine / LOCK, fcntl.LOCK_EX)
    atexit.register(_remove, mine, lock)
    tempfile.tempdir = os.environ["TMPDIR"] = str(mine)
    return mine


def keep(file: Path) -> Path:
    """Move a file out of the scratch folder, so that people find it when the program has ended; returns its place."""
    return Path(shutil.move(file, scratch_folder().parents[1] / file.name))


def _locked(file: Path, how: int) -> IO[str]:
    stream = file.open("a")
    fcntl.flock(stream, how)
    return stream


def _is_abandoned(folder: Path) -> bool:
    try:
        _locked(folder / LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB).close()
    except BlockingIOError:
        return False
    return True


def _remove(folder: Path, lock: IO[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()
