"""Runs programs as processes of their own, and measures their time and memory."""

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
class Cost:
    """What a program took, its JVM and its workers with it."""

    seconds: float
    """By the clock."""
    processor_seconds: float
    """Say more than the clock on a machine that does other work too."""
    peak_gb: float
    """The most memory that all its processes took together, looked at once a second."""


def run(program: str, *arguments: str) -> Cost:
    """Run ``program``, a file or ``-m`` and a module below the repository's root, to its end and that of its JVM."""
    ctypes.CDLL(None).prctl(BECOME_SUBREAPER, 1, 0, 0, 0)
    before, started = os.times(), time.perf_counter()
    with_root = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, *program.split(), *arguments]
    peak = 0.0
    with subprocess.Popen(command, cwd=ROOT, env=with_root, stdout=sys.stderr) as running:
        while _still_runs(running):
            peak = max(peak, processes_gb(running.pid))
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)
    seconds = time.perf_counter() - started
    _wait_for_orphans()
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(seconds, used, peak)


def _still_runs(running: "subprocess.Popen[bytes]") -> bool:
    """Whether a process has not ended within a second."""
    try:
        running.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return True
    return False


def processes_gb(process: int) -> float:
    """Proportional set size of a process and of all its descendants, in units of 2^30 bytes."""
    parents = {int(path.parent.name): _parent(path) for path in Path("/proc").glob("[0-9]*/stat")}
    family = {process}
    while children := {child for child, parent in parents.items() if parent in family} - family:
        family |= children
    return sum(_proportional_kb(number) for number in family) / 2**20


def _parent(stat: Path) -> int:
    """The parent of a process, from its ``/proc/PID/stat``; -1 if the process has ended."""
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return -1


def _proportional_kb(number: int) -> int:
    """Proportional set size of one process; 0 if it has ended or belongs to somebody else."""
    try:
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _wait_for_orphans() -> None:
    """Reap what a program left running for a moment, so that its processor time counts."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def print_line(what: str, ours: Cost, usual: Cost | None = None) -> None:
    """One line of figures: what a job took and, where there is one, the usual recipe."""
    beside = "" if usual is None else f"   the usual recipe {_shown(usual)}"
    print(f"{what:28}{_shown(ours)}{beside}", flush=True)


def _shown(cost: Cost) -> str:
    return f"{cost.seconds:8.1f} s ({cost.processor_seconds:.1f} s of processors, {cost.peak_gb:.1f} GB)"
