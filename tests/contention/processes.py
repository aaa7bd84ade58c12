"""Jobs as processes that start at the same moment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    name: str
    code: int
    seconds: float
    said: str
    """Its last line on stderr, empty where it said nothing but its progress."""


def start(job: str, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a program of ``jobs/``."""
    command = [sys.executable, f"jobs/{job}.py", *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_together(programs: Sequence[tuple[str, str, Sequence[str]]], environment: Mapping[str, str]) -> list[Ended]:
    """Run programs, each a name, a job and its arguments, at the same time; returns when all have ended."""
    began = time.monotonic()
    running = [(name, start(job, arguments, environment)) for name, job, arguments in programs]
    return [ended(name, process, began) for name, process in running]


def ended(name: str, process: subprocess.Popen[str], began: float) -> Ended:
    """Wait for a process."""
    _, said = process.communicate()
    lines = [line for line in said.splitlines() if "Error" in line]
    return Ended(name, process.returncode, time.monotonic() - began, lines[-1] if lines else "")


def kill_when(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """kill -9 a job and all that it started, as soon as it has come as far as wanted."""
    while process.poll() is None and not reached():
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
