"""What a night costs, the night after in which few users did something, and one that reads everyone anew.

    python -m benchmarks.night --warehouse ROOT --models ROOT --as-of DATE [--changed 0.01] [--usual 400]

Three runs of jobs/score_users.py, each a process of its own, on a copy of a loaded warehouse: of DATE with nothing kept
but vectors of texts; of the day after, before which a share of the users bought once more; and of the next day, when no
user's vector is left, as with a new model over the same texts. Prints the seconds of each step, the rates, what was
read and reused, and the memory of a run's processes together (proportional set size, so that shared pages count once).

Before them the usual recipe (benchmarks.contenders) reads --usual users with all cores; what it would need for all
users is extrapolated from that rate.
"""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks import contenders, in_spark, texts
from benchmarks.untrained import untrained_bundle
from ulvspark.contract import schema
from ulvspark.contract.config import parse_date
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import Warehouse

ROOT = Path(__file__).parents[1]
SOURCES = (schema.EVENTS.name, schema.PRODUCTS.name, schema.USERS.name)
KEPT = (*SOURCES, schema.TEXT_VECTORS.name)


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    as_of = parse_date(args.as_of)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as scratch:
        root = copy_kept(Path(args.warehouse), Path(scratch) / "warehouse")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        warehouse = Warehouse(get_session("night", str(root)), str(root))
        usual = usual_rate(warehouse.spark, args.usual, Path(scratch))
        first = night(warehouse, args.models, as_of)
        change(warehouse, as_of, args.changed)
        second = night(warehouse, args.models, as_of + timedelta(days=1))
        warehouse.drop(schema.USER_VECTORS.name)
        anew = night(warehouse, args.models, as_of + timedelta(days=2))
    found = {"first": first, "second": second, "new model's": anew}
    for each in found.values():
        each["metrics"] |= beside(usual, each["counts"]["scored"], sum(each["seconds"].values()))
    sys.stdout.write(table(found))
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="benchmarks.night", description=(__doc__ or "").splitlines()[0])
    found.add_argument("--warehouse", required=True, metavar="ROOT", help="a folder that jobs/load_source.py filled")
    found.add_argument("--models", required=True, metavar="ROOT")
    found.add_argument("--as-of", required=True, metavar="DATE")
    found.add_argument("--changed", type=float, default=0.01, help="share of users who buy before the second night")
    found.add_argument("--usual", type=int, default=400, help="users that the usual recipe reads")
    found.add_argument("--json", metavar="FILE", help="where the figures go as well")
    return found


def usual_rate(session: SparkSession, number: int, scratch: Path) -> float:
    """Users a second of the usual recipe: MiniLM on texts padded to 256 tokens, a process a core."""
    bundle = str(untrained_bundle("minilm", 256, scratch / "usual"))
    own = contenders.reader(bundle)
    history = contenders.predictor(bundle).manifest.history
    users = texts.synthetic(number, own.tokenizer, own.spec, history)
    way = in_spark.scored(contenders.USUAL, in_spark.frame(session, users), bundle, users.population)
    # Once before the clock starts, so that models are loaded.
    way.collect()
    started = time.perf_counter()
    way.collect()
    return number / (time.perf_counter() - started)


def beside(usual: float, users: float, seconds: float) -> dict[str, float]:
    """What the usual recipe would need for the same users, and by how much a night was faster."""
    needed = users / usual
    return {"usual_users_per_second": usual, "usual_seconds": needed, "times_as_fast": needed / seconds}


def copy_kept(warehouse: Path, to: Path) -> Path:
    """A copy without what runs of scoring left, but the vectors of texts."""
    for name in KEPT:
        if (warehouse / name).exists():
            shutil.copytree(warehouse / name, to / name)
    return to


def night(warehouse: Warehouse, models: str, as_of: date) -> dict[str, dict[str, float]]:
    """Counts, seconds and metrics of one run, with the most memory it took."""
    job = [sys.executable, "jobs/score_users.py", f"--as-of={as_of}", f"--warehouse={warehouse.root}"]
    peak = 0.0
    with subprocess.Popen([*job, f"--models={Path(models).resolve()}"], cwd=ROOT) as running:
        while running.poll() is None:
            peak = max(peak, tree_gb(running.pid))
            time.sleep(1)
    if running.returncode:
        sys.exit(running.returncode)
    runs = warehouse.read(schema.RUNS.name).where(F.col("as_of_date") == F.lit(as_of))
    (row,) = runs.orderBy(F.desc("started_at")).limit(1).collect()
    return {"counts": row["counts"], "seconds": row["seconds"], "metrics": row["metrics"] | {"memory_gb": peak}}


def change(warehouse: Warehouse, day: date, share: float) -> None:
    """A share of the users repeat their newest purchase on ``day``."""
    events = warehouse.read(schema.EVENTS.name)
    chosen = F.pmod(F.xxhash64("user_id"), F.lit(10_000)) < int(share * 10_000)
    bought = events.where(chosen & (F.col("event_type") == "purchase")).groupBy("user_id")
    newest = bought.agg(F.max_by(F.struct(*events.columns), "event_time").alias("event")).select("event.*")
    again = newest.withColumns(
        {
            "event_id": F.concat(F.lit(f"again-{day}-"), "event_id"),
            "event_time": F.lit(day.isoformat()).cast("timestamp") + F.expr("INTERVAL 12 HOURS"),
        }
    )
    warehouse.append(again.select(*events.columns), schema.EVENTS.name)


def tree_gb(process: int) -> float:
    """Proportional set size of a process and all below it, in GB."""
    parents = {int(path.parent.name): _parent(path) for path in Path("/proc").glob("[0-9]*/stat")}
    ours = {process}
    while found := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= found
    return sum(_proportional_kb(number) for number in ours) / 2**20


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return -1


def _proportional_kb(number: int) -> int:
    try:
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def table(nights: dict[str, dict[str, dict[str, float]]]) -> str:
    """A line a figure, a column a night."""
    lines = []
    for kind in ("counts", "seconds", "metrics"):
        for name in dict.fromkeys(name for each in nights.values() for name in each[kind]):
            values = (each[kind].get(name) for each in nights.values())
            cells = "".join(f"{'' if value is None else f'{value:,.1f}':>20}" for value in values)
            lines.append(f"{kind + ' ' + name.replace('_', ' '):<44}{cells}")
    header = f"{'':<44}" + "".join(f"{name + ' night':>20}" for name in nights)
    return "\n".join([header, *lines]) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
