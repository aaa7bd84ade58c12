"""A program's temporary files: gone when it ends, and swept by the next one when it was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, tempfile
from ulvspark.contract.storage.scratch import keep, scratch_folder

folder = scratch_folder()
assert folder == scratch_folder()
tempfile.NamedTemporaryFile(suffix=".of_users", delete=False).write(b"jane@example.com")
(folder / "said.log").write_text("an error")
if "keep" in sys.argv:
    print(keep(folder / "said.log"))
print(folder, flush=True)
if "stay" in sys.argv:
    sys.stdin.read()
"""


def start(temp: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    environment = os.environ | {"TMPDIR": str(temp)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def said(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def test_what_a_killed_program_left_is_swept_by_the_next_and_what_a_living_one_uses_is_not(tmp_path):
    living, killed = start(tmp_path, "stay"), start(tmp_path, "stay")
    folders = Path(said(living)), Path(said(killed))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert [len(list(folder.glob("*.of_users"))) for folder in folders] == [1, 1], "they go there by themselves"

    following = start(tmp_path, "keep")
    kept, folder = said(following), Path(said(following))
    following.communicate()
    assert [folder.exists() for folder in folders] == [True, False]
    assert not folder.exists(), "one that ends by itself leaves nothing"
    assert (Path(kept), Path(kept).read_text()) == (tmp_path / "said.log", "an error")
    living.communicate()
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"said.log", "lock"}
    assert (next(tmp_path.glob("ulvspark-*")).stat().st_mode & 0o777) == 0o700
