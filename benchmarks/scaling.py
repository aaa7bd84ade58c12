"""Scoring on a standalone cluster of one machine, with more and more executors of one core.

    python -m benchmarks.scaling --warehouse ROOT --models ROOT --as-of DATE [--executors 1 2]

For each number a master and as many workers start, and jobs/score_users.py runs under spark-submit on a copy of a
loaded warehouse without vectors of users. Prints the seconds of each stage and how many times as fast it was as with
the first number. Driver and master share the machine's cores with the executors, so the ratio is a lower bound.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyspark

from benchmarks.night import copy_kept
from model_training.data.dataset import open_table
from ulvspark.contract import schema
from ulvspark.contract.config import parse_date
from ulvspark.warehouse.jvm import DELTA_PACKAGE

ROOT = Path(__file__).parents[1]
SPARK = Path(pyspark.__path__[0]) / "bin"
DEPLOY = "org.apache.spark.deploy"
SETTINGS = {
    "spark.executor.cores": "1", "spark.executor.memory": "3g", "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": "8", "spark.ui.enabled": "false",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    parse_date(args.as_of)
    found: dict[int, dict[str, float]] = {}
    for executors in args.executors:
        with tempfile.TemporaryDirectory() as scratch, cluster(executors, Path(scratch)) as master:
            warehouse = copy_kept(Path(args.warehouse), Path(scratch) / "warehouse")
            submit(master, executors, warehouse, args)
            found[executors] = seconds(warehouse)
    sys.stdout.write(table(found))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="benchmarks.scaling", description=(__doc__ or "").splitlines()[0])
    found.add_argument("--warehouse", required=True, metavar="ROOT", help="a folder that jobs/load_source.py filled")
    found.add_argument("--models", required=True, metavar="ROOT")
    found.add_argument("--model", default="champion", metavar="NAME")
    found.add_argument("--as-of", required=True, metavar="DATE")
    found.add_argument("--executors", type=int, nargs="+", default=[1, 2])
    return found


@contextmanager
def cluster(workers: int, scratch: Path) -> Iterator[str]:
    """A master and workers of one core, until the block ends; gives the master's address."""
    host, port = "127.0.0.1", free_port()
    master = f"spark://{host}:{port}"
    with ExitStack() as running:
        running.enter_context(process(f"{DEPLOY}.master.Master", f"--host={host}", f"--port={port}"))
        wait_for(host, port)
        for number in range(workers):
            options = (
                f"--host={host}",
                "--cores=1",
                "--memory=4g",
                f"--work-dir={scratch / f'worker-{number}'}",
                master,
            )
            running.enter_context(process(f"{DEPLOY}.worker.Worker", *options))
        yield master


@contextmanager
def process(name: str, *options: str) -> Iterator[None]:
    command = [str(SPARK / "spark-class"), name, *(part for option in options for part in option.split("=", 1))]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    try:
        yield
    finally:
        running.terminate()
        running.wait()


def environment() -> dict[str, str]:
    """One thread a worker, and this project's code in it."""
    return os.environ | {
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }  # fmt: skip


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def wait_for(host: str, port: int, seconds: int = 60) -> None:
    for _ in range(seconds):
        with socket.socket() as tried:
            if tried.connect_ex((host, port)) == 0:
                return
        time.sleep(1)
    raise TimeoutError(f"no master listens on {host}:{port}")


def submit(master: str, executors: int, warehouse: Path, args: argparse.Namespace) -> None:
    settings = SETTINGS | {"spark.cores.max": str(executors)}
    command = [
        str(SPARK / "spark-submit"), "--master", master, "--packages", DELTA_PACKAGE,
        *(part for name, value in settings.items() for part in ("--conf", f"{name}={value}")),
        str(ROOT / "jobs/score_users.py"), f"--as-of={args.as_of}", f"--warehouse={warehouse}",
        f"--models={args.models}", f"--model={args.model}",
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=ROOT, env=environment())


def seconds(warehouse: Path) -> dict[str, float]:
    """Of each stage of the last run."""
    runs = open_table(str(warehouse), schema.RUNS.name).to_pandas()
    return dict(runs.sort_values("started_at")["seconds"].iloc[-1])


def table(found: dict[int, dict[str, float]]) -> str:
    """A line a stage: seconds with each number of executors, and times as fast as with the first."""
    first = next(iter(found.values()))
    stages = {name: [each[name] for each in found.values()] for name in first}
    stages["in all"] = [sum(each.values()) for each in found.values()]
    lines = [f"{'executors':<16}" + "".join(f"{number:>20}" for number in found)]
    for name, taken in stages.items():
        cells = "".join(f"{each:>12.1f} {taken[0] / max(each, 1e-3):>6.2f}x" for each in taken)
        lines.append(f"{name:<16}{cells}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
