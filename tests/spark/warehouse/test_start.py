"""A process that starts its own JVM: what Spark prints stays out of the job's output, and the user's settings win."""

import os
import re
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from ulvspark.contract.errors import run_as_job
from ulvspark.warehouse.session import get_session

def main(argv):
    spark = get_session("tiny", reads=(sys.argv[1],))
    print(spark.range(3).count(), "rows")
    for name in ("shuffle.partitions", "codegen.wholeStage", "session.timeZone"):
        print(name, spark.conf.get(f"spark.sql.{name}"))
    print("local dir", spark.sparkContext.getConf().get("spark.local.dir"))
    spark._jvm.System.err.println("said by Java")
    if sys.argv[2] == "fail":
        raise KeyError("x")
    return 0

run_as_job(main)
"""


def run(folder: Path, end: str) -> subprocess.CompletedProcess:
    given = os.environ | {
        "TMPDIR": str(folder),
        "PYSPARK_SUBMIT_ARGS": "--conf spark.sql.shuffle.partitions=3 pyspark-shell",
    }
    command = [sys.executable, "-c", PROGRAM, str(folder), end]
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


def test_a_job_prints_its_own_lines_alone(tmp_path):
    ended = run(tmp_path, "well")
    assert (ended.returncode, ended.stderr) == (0, "")
    *lines, local = ended.stdout.splitlines()
    assert lines == ["3 rows", "shuffle.partitions 3", "codegen.wholeStage false", "session.timeZone UTC"]
    assert not list(tmp_path.glob("*.log"))
    shuffled_to = Path(local.removeprefix("local dir "))
    assert shuffled_to.parents[1] == tmp_path, "shuffles go to the program's scratch folder"
    assert not (shuffled_to / "lock").exists(), "which is gone with it"


def test_a_bug_names_the_file_with_what_spark_printed(tmp_path):
    ended = run(tmp_path, "fail")
    first, *_, last = ended.stderr.splitlines()
    assert ended.returncode == 3
    assert first.startswith("Traceback")
    assert "said by Java" in Path(re.fullmatch(r"what Spark printed is in (\S+)", last)[1]).read_text()
