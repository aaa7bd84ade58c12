"""How far a loop is: a bar in a terminal, lines now and then in a pipe."""

import contextlib
import os
import subprocess
import sys
import termios
from pathlib import Path

ROOT = Path(__file__).parents[4]

LOOP = """
from model_training.runs import progress
now = 0.0
progress.time.monotonic = lambda: now
with progress.Progress("heads", 1000, "step", keep=True) as bar:
    for step in range(1000):
        now += 0.125
        if step == 500:
            bar.show_figures({"loss": "0.43"})
        bar.update()
for _ in progress.track(range(50), "short", "text"):
    pass
"""


def test_a_pipe_gets_a_line_every_thirty_seconds_and_the_last_one():
    finished = subprocess.run(
        [sys.executable, "-c", LOOP], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert "\r" not in finished.stderr
    assert finished.stderr.splitlines() == [
        "heads: 240 of 1,000 steps (24%) after 0:00:30",
        "heads: 480 of 1,000 steps (48%) after 0:01:00",
        "heads: 720 of 1,000 steps (72%) after 0:01:30, loss 0.43",
        "heads: 960 of 1,000 steps (96%) after 0:02:00, loss 0.43",
        "heads: 1,000 of 1,000 steps (100%) after 0:02:05, loss 0.43",
    ]


def read_all(terminal: int) -> str:
    """What was written to a terminal whose other end is closed."""
    chunks = []
    with contextlib.suppress(OSError):  # how Linux says that there is no more
        while chunk := os.read(terminal, 4096):
            chunks.append(chunk)
    os.close(terminal)
    return b"".join(chunks).decode()


def test_a_terminal_gets_a_bar():
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    subprocess.run([sys.executable, "-c", LOOP], cwd=ROOT, stderr=theirs, check=True, timeout=120)
    os.close(theirs)
    shown = read_all(ours)
    assert "\rheads:" in shown
    assert "1000/1000" in shown
    assert "loss=0.43" in shown
    assert " steps (" not in shown


def test_nothing_is_shown_where_another_process_shows_it(capsys):
    from model_training.runs.progress import Progress

    with Progress("heads", 2, "step", show=False, keep=True) as progress:
        progress.update(2)
    assert capsys.readouterr().err == ""
