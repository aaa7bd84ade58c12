"""Measures how fast a platform is simulated, and what a day more costs.

    python -m benchmarks.simulation [--users 1000000] [--products 200000]

Simulates two years and then a day more, each a process of its own, with a heap of 3 GB for Spark's JVM. Prints the
seconds of each, the memory that all its processes take together at most, and the number of events and distinct texts.
"""

import argparse
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from benchmarks.processes import print_line, run
from ulvspark.simulation.config import SimulationConfig


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    sizes = [f"users={args.users}", f"products={args.products}"]
    after = SimulationConfig().end + timedelta(days=1)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        print_line("two years", run("jobs/simulate.py", f"--out={folder}", *sizes))
        print(f"{'':28}{counted(Path(folder))}", flush=True)
        print_line("a day more", run("jobs/simulate.py", f"--out={folder}", f"--until={after}", *sizes))
        print(f"{'':28}{counted(Path(folder))}", flush=True)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="benchmarks.simulation", description=(__doc__ or "").splitlines()[0])
    command.add_argument("--users", type=int, default=1_000_000, help="of the platform (default: %(default)s)")
    command.add_argument("--products", type=int, default=200_000, help="(default: %(default)s)")
    command.add_argument("--folder", help="where there is space for the tables (default: the temporary folder)")
    return command


def counted(folder: Path) -> str:
    """How many events and distinct texts there are."""
    tables = QueryBuilder().register("events", DeltaTable(str(folder / "events")))
    query = "SELECT count(*) AS events, count(DISTINCT text) AS texts FROM events"
    found = pa.table(tables.execute(query).read_all()).to_pylist()[0]
    return f"{found['events']:,} events, {found['texts']:,} distinct searches and reviews"


if __name__ == "__main__":
    raise SystemExit(main())
