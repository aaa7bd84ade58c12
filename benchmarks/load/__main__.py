"""Measures a first load and the next day's, beside a plain MERGE of the same tables.

    python -m benchmarks.load [--users 20000] [--products 4000] [--days 1]

Simulates a platform and loads it; then adds a day, with as many events as an average day, and loads again. Each load is
a process of its own, and the usual recipe (``benchmarks.load.usual_load``) loads the same tables right after. Seconds
contain the start of Spark.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from benchmarks.processes import ROOT, print_line, run
from ulvspark.contract.schema import EVENTS, PRODUCTS, USERS


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source, mapping = folder / "source", write_mapping(folder / "source.yaml")
        run("jobs/simulate.py", f"--out={source}", f"users={args.users}", f"products={args.products}")
        for day in range(1 + args.days):
            if day:
                run("-m benchmarks.load.one_day_more", str(source))
            ours = run(
                "jobs/load_source.py", f"--source={mapping}", f"--source-root={source}", f"--warehouse={folder}/ours"
            )
            usual = run(
                "-m benchmarks.load.usual_load", f"--source={source}", "--format=delta", f"--warehouse={folder}/usual"
            )
            print_line("the next day" if day else "the first load", ours, usual)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="benchmarks.load", description=(__doc__ or "").splitlines()[0])
    command.add_argument("--users", type=int, default=20_000, help="of the platform (default: %(default)s)")
    command.add_argument("--products", type=int, default=4_000, help="(default: %(default)s)")
    command.add_argument("--days", type=int, default=1, help="that are added (default: %(default)s)")
    return command


def write_mapping(path: Path) -> Path:
    """The mapping of simulated platforms, by which a load reads what is new."""
    mapping = yaml.safe_load((ROOT / "conf" / "sources" / "simulated.yaml").read_text(encoding="utf-8"))
    for table in (*mapping[EVENTS.name], mapping[PRODUCTS.name], mapping[USERS.name]):
        table["incremental"] = True
    path.write_text(yaml.safe_dump(mapping), encoding="utf-8")
    return path


if __name__ == "__main__":
    raise SystemExit(main())
