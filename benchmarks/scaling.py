"""Measure how much faster a night gets with more Spark executors, on a standalone cluster on one machine.

    python -m benchmarks.scaling --warehouse ROOT --models ROOT --as-of DATE [--executors 1 2]

For each number of executors, a master and that many workers of one core start, and jobs/score_users.py runs under
spark-submit on a copy of a loaded warehouse (a local folder) in which every user has to be encoded. Prints the seconds
of each step, and how many times as fast it was as with the first number of executors. Driver and master share the
machine's cores with the executors, so the ratio is a lower bound.
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

from benchmarks.night import copy_warehouse
from model_training.data.dataset import open_table
from ulvspark.contract import arguments, schema
from ulvspark.warehouse.jvm import DELTA_PACKAGE

ROOT = Path(__file__).parents[1]
SPARK_PROGRAMS = Path(pyspark.__path__[0]) / "bin"
DEPLOY_CLASSES = "org.apache.spark.deploy"
SETTINGS = {
    "spark.executor.cores": "1", "spark.executor.memory": "3g", "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": "8", "spark.ui.enabled": "false",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    seconds: dict[int, dict[str, float]] = {}
    for executors in args.executors:
        with tempfile.TemporaryDirectory() as scratch, cluster(executors, Path(scratch)) as master:
            warehouse = copy_warehouse(Path(args.warehouse), Path(scratch) / "warehouse")
            submit(master, executors, warehouse, args)
            seconds[executors] = step_seconds(warehouse)
    sys.stdout.write(table(seconds))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = arguments.command_parser("benchmarks.scaling", __doc__)
    arguments.add_warehouse(command)
    arguments.add_models(command)
    arguments.add_model(command)
    arguments.add_as_of(command)
    command.add_argument(
        "--executors", type=int, nargs="+", default=[1, 2], help="numbers of executors to compare (default: 1 2)"
    )
    return command


@contextmanager
def cluster(workers: int, scratch: Path) -> Iterator[str]:
    """A master and workers of one core each, until the block ends; yields the master's address."""
    host, port = "127.0.0.1", free_port()
    master = f"spark://{host}:{port}"
    with ExitStack() as processes:
        processes.enter_context(process(f"{DEPLOY_CLASSES}.master.Master", f"--host={host}", f"--port={port}"))
        wait_for(host, port)
        for number in range(workers):
            options = (
                f"--host={host}",
                "--cores=1",
                "--memory=4g",
                f"--work-dir={scratch / f'worker-{number}'}",
                master,
            )
            processes.enter_context(process(f"{DEPLOY_CLASSES}.worker.Worker", *options))
        yield master


@contextmanager
def process(name: str, *options: str) -> Iterator[None]:
    """A Java process of Spark's class ``name``, until the block ends."""
    command = [
        str(SPARK_PROGRAMS / "spark-class"),
        name,
        *(part for option in options for part in option.split("=", 1)),
    ]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    try:
        yield
    finally:
        running.terminate()
        running.wait()


def environment() -> dict[str, str]:
    """Variables that give each worker one thread and this project's code."""
    return os.environ | {
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }  # fmt: skip


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def wait_for(host: str, port: int, seconds: int = 60) -> None:
    for _ in range(seconds):
        with socket.socket() as client:
            if client.connect_ex((host, port)) == 0:
                return
        time.sleep(1)
    raise TimeoutError(f"no master listens on {host}:{port}")


def submit(master: str, executors: int, warehouse: Path, args: argparse.Namespace) -> None:
    """Run the night on the cluster, to its end."""
    settings = SETTINGS | {"spark.cores.max": str(executors)}
    command = [
        str(SPARK_PROGRAMS / "spark-submit"), "--master", master, "--packages", DELTA_PACKAGE,
        *(part for name, value in settings.items() for part in ("--conf", f"{name}={value}")),
        str(ROOT / "jobs/score_users.py"), f"--as-of={args.as_of}", f"--warehouse={warehouse}",
        f"--models={args.models}", f"--model={args.model}",
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=ROOT, env=environment())


def step_seconds(warehouse: Path) -> dict[str, float]:
    """The seconds of each step of the last run."""
    runs = open_table(str(warehouse), schema.RUNS.name).to_pandas()
    return dict(runs.sort_values("started_at")["seconds"].iloc[-1])


def table(seconds: dict[int, dict[str, float]]) -> str:
    """A line for each step: its seconds with each number of executors, and how many times as fast as with the first."""
    runs = list(seconds.values())
    rows = {step: [run[step] for run in runs] for step in runs[0]}
    rows["in all"] = [sum(run.values()) for run in runs]
    lines = [f"{'executors':<16}" + "".join(f"{number:>20}" for number in seconds)]
    for name, row in rows.items():
        cells = "".join(f"{value:>12.1f} {row[0] / max(value, 1e-3):>6.2f}x" for value in row)
        lines.append(f"{name:<16}{cells}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
