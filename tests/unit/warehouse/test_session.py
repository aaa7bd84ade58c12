"""What happens before a JVM runs: why Spark cannot start, which jars it is given, and what counts as small data."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ulvspark.warehouse import fit_to_size
from ulvspark.warehouse.fit_to_size import is_small
from ulvspark.warehouse.jvm import DELTA_JARS, DELTA_PACKAGE, IVY_JARS, S3_PACKAGE, delta_settings


def run_without_java(folder: Path, **changes: str) -> subprocess.CompletedProcess:
    """A job where only those programs are found that Spark's own scripts need, Java not among them."""
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    for tool in ("bash", "dirname", "env"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    job = [sys.executable, "-m", "jobs.simulate", "--out", str(folder / "out")]
    given = environment | {"PATH": str(folder), "TMPDIR": str(folder)} | changes
    return subprocess.run(job, env=given, capture_output=True, text=True, check=False)


def test_without_java_one_line_says_what_is_needed(tmp_path):
    ended = run_without_java(tmp_path)
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert "Spark did not start (JAVA_HOME is not set)" in line
    assert "It needs Java 17 or 21" in line


def test_a_broken_java_home_is_explained_in_a_file_that_stays(tmp_path):
    ended = run_without_java(tmp_path, JAVA_HOME="/nowhere")
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    printed = Path(re.search(r"what it printed is in (\S+\.log)\.", line)[1])
    assert printed.parent == tmp_path
    assert "/nowhere/bin/java" in printed.read_text()


def test_cached_jars_are_named_and_missing_ones_resolved(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    jars = [tmp_path / IVY_JARS / name for name in DELTA_JARS]
    jars[0].parent.mkdir(parents=True)
    for jar in jars[:-1]:
        jar.touch()
    assert delta_settings(with_s3=False) == {"spark.jars.packages": DELTA_PACKAGE}
    jars[-1].touch()
    assert delta_settings(with_s3=False) == {"spark.jars": ",".join(map(str, jars))}
    assert delta_settings(with_s3=True) == {"spark.jars.packages": f"{DELTA_PACKAGE},{S3_PACKAGE}"}


def test_little_data_in_files_and_folders_is_small(tmp_path, monkeypatch):
    monkeypatch.setattr(fit_to_size, "SMALL_BYTES", 20)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "ten").write_bytes(b"0123456789")
    (tmp_path / "eleven").write_bytes(b"0123456789a")
    deep, file, absent = str(tmp_path / "deep"), str(tmp_path / "eleven"), str(tmp_path / "absent")
    assert is_small([deep])
    assert is_small([file, absent])
    assert not is_small([deep, file])
    assert not is_small([str(tmp_path)])


@pytest.mark.parametrize("reads", [[], ["s3a://bucket/warehouse"], ["catalog:shop"], ["/absent", "s3a://bucket/in"]])
def test_data_of_unknown_size_is_not_small(reads):
    assert not is_small(reads)
