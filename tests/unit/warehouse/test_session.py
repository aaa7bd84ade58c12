"""What stands in the way of a Spark session is said in a sentence. No JVM starts here."""

import os
import shutil
import subprocess
import sys


def test_without_java_the_last_line_says_what_is_needed(tmp_path):
    nowhere = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"} | {"PATH": str(tmp_path)}
    # Only what Spark's own scripts need, which is not Java.
    for tool in ("bash", "dirname", "env"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    job = [sys.executable, "-m", "jobs.simulate", "--out", str(tmp_path / "out")]
    ended = subprocess.run(job, env=nowhere, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "It needs Java 17 or 21" in ended.stderr.splitlines()[-1]
