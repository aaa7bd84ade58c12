"""Runs programs as processes of their own, and measures their time by the clock and on the processors."""

import ctypes
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

BECOME_SUBREAPER = 36
"""The ``prctl`` option that makes orphaned grandchildren (the JVM outlives its Python process) our children."""


@dataclass(frozen=True)
class Seconds:
    """What a program took, its JVM with it."""

    by_the_clock: float
    of_processors: float
    """Says more than the clock on a machine that does other work too."""


def run(program: str, *arguments: str) -> Seconds:
    """Run ``program``, a file or ``-m`` and a module below the repository's root, to its end and that of its JVM."""
    ctypes.CDLL(None).prctl(BECOME_SUBREAPER, 1, 0, 0, 0)
    before, started = os.times(), time.perf_counter()
    with_root = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, *program.split(), *arguments]
    subprocess.run(command, cwd=ROOT, env=with_root, stdout=sys.stderr, check=True)
    seconds = time.perf_counter() - started
    _wait_for_orphans()
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Seconds(seconds, used)


def _wait_for_orphans() -> None:
    """Reap what a program left running for a moment, so that its processor time counts."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def print_line(what: str, ours: Seconds, usual: Seconds | None = None) -> None:
    """One line of figures: what a job took and, where there is one, the usual recipe."""
    beside = "" if usual is None else f"   the usual recipe {_shown(usual)}"
    print(f"{what:28}{_shown(ours)}{beside}", flush=True)


def _shown(seconds: Seconds) -> str:
    return f"{seconds.by_the_clock:8.1f} s ({seconds.of_processors:.1f} s of processors)"
