"""Measure three nights: a first one, one after which few users changed, and one that encodes every user again.

    python -m benchmarks.night --warehouse ROOT --models ROOT --as-of DATE [--changed 0.01] [--baseline-users 400]

Each night is a run of jobs/score_users.py in a process of its own, on a copy of a loaded warehouse (a local folder):

- first: as of DATE, when no vectors are kept but those of texts;
- second: as of the next day, after a share of the users bought once more;
- new model's: as of the day after that, when no user's vector is kept, as with a new model over the same texts.

Prints counts, the seconds of each step, rates, and the memory of all processes of a night together (proportional set
size, so that shared pages count once). Before the nights, the baseline of benchmarks.comparison.contenders scores
--baseline-users users with all cores; the time that it would need for all users is extrapolated from its rate.
"""

import argparse
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.comparison import contenders, in_spark, texts
from benchmarks.processes import ROOT, run
from benchmarks.untrained import untrained_bundle
from ulvspark.contract import arguments, schema
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import Warehouse

COPIED = (schema.EVENTS.name, schema.PRODUCTS.name, schema.USERS.name, schema.TEXT_VECTORS.name)
"""Tables that a night starts with."""
CACHED = {"texts": "texts", "histories": "encode"}
"""What is kept from night to night, as ``counts`` of ``ulv_runs`` name it, and the step that encodes it."""

Figures = dict[str, dict[str, float]]
"""``counts``, ``seconds`` and ``metrics`` of a night, each by name, as in ``ulv_runs``."""


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as scratch:
        root = copy_warehouse(Path(args.warehouse), Path(scratch) / "warehouse")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        warehouse = Warehouse(get_session("night", str(root)), str(root))
        baseline = baseline_rate(warehouse.spark, args.baseline_users, Path(scratch))
        first = night(warehouse, args.models, args.as_of)
        repeat_purchases(warehouse, args.as_of, args.changed)
        second = night(warehouse, args.models, args.as_of + timedelta(days=1))
        warehouse.drop(schema.USER_VECTORS.name)
        third = night(warehouse, args.models, args.as_of + timedelta(days=2))
    nights = {"first": first, "second": second, "new model's": third}
    for figures in nights.values():
        figures["metrics"] |= costs(figures, baseline)
    sys.stdout.write(table(nights))
    if args.json:
        Path(args.json).write_text(json.dumps(nights, indent=1) + "\n", encoding="utf-8")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = arguments.command_parser("benchmarks.night", __doc__)
    arguments.add_warehouse(command)
    arguments.add_models(command)
    arguments.add_as_of(command)
    command.add_argument(
        "--changed", type=float, default=0.01,
        help="share of the users who buy before the second night (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--baseline-users", type=int, default=400, help="users that the baseline scores (default: %(default)s)"
    )
    command.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    return command


def copy_warehouse(warehouse: Path, to: Path) -> Path:
    """Copy the tables ``COPIED`` of a warehouse, and nothing else that earlier nights wrote; returns ``to``."""
    for name in COPIED:
        if (warehouse / name).exists():
            shutil.copytree(warehouse / name, to / name)
    return to


def baseline_rate(session: SparkSession, number: int, scratch: Path) -> float:
    """Users a second of the baseline: MiniLM on texts padded to 256 tokens, a process a core."""
    bundle = str(untrained_bundle("minilm", 256, scratch / "baseline"))
    reader, history = contenders.reader(bundle), contenders.predictor(bundle).manifest.history
    users = texts.made_up_users(number, reader.tokenizer, reader.spec, history)
    scores = in_spark.scored(contenders.BASELINE, in_spark.users_frame(session, users), bundle, users.population)
    # Once before the clock starts, so that models are loaded.
    scores.collect()
    started = time.perf_counter()
    scores.collect()
    return number / (time.perf_counter() - started)


def night(warehouse: Warehouse, models: str, as_of: date) -> Figures:
    """Run a night; returns its figures from ``ulv_runs`` and, as ``processes_peak_gb``, the most memory it took."""
    cost = run(
        "jobs/score_users.py", f"--as-of={as_of}", f"--warehouse={warehouse.root}", f"--models={Path(models).resolve()}"
    )
    runs = warehouse.read(schema.RUNS.name).where(F.col("as_of_date") == F.lit(as_of))
    (row,) = runs.orderBy(F.desc("started_at")).limit(1).collect()
    metrics = row["metrics"] | {"processes_peak_gb": cost.peak_gb}
    return {"counts": row["counts"], "seconds": row["seconds"], "metrics": metrics}


def repeat_purchases(warehouse: Warehouse, day: date, share: float) -> None:
    """Let a share of the users repeat their newest purchase on ``day``."""
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


def costs(figures: Figures, baseline: float) -> dict[str, float]:
    """Seconds of a night, without its caches, and of the baseline (``baseline`` users a second) for the same users."""
    total = sum(figures["seconds"].values())
    baseline_seconds = figures["counts"]["scored"] / baseline
    return {
        "total_seconds": total,
        "seconds_without_caches": total + saved_seconds(figures),
        "baseline_users_per_second": baseline,
        "baseline_seconds": baseline_seconds,
        "times_as_fast": baseline_seconds / total,
    }


def saved_seconds(figures: Figures) -> float:
    """What it would have taken to encode what was reused, at the rate of what the same night encoded.

    Texts or histories of which the night encoded none have no rate and are left out.
    """
    counts, seconds = figures["counts"], figures["seconds"]
    return sum(
        counts[f"{cached}_reused"] * seconds[step] / counts[f"{cached}_encoded"]
        for cached, step in CACHED.items()
        if counts.get(f"{cached}_encoded")
    )


def table(nights: dict[str, Figures]) -> str:
    """A line for each figure, a column for each night; a figure that a night lacks is left blank."""
    lines = []
    for kind in ("counts", "seconds", "metrics"):
        for name in dict.fromkeys(name for figures in nights.values() for name in figures[kind]):
            values = (figures[kind].get(name) for figures in nights.values())
            cells = "".join(f"{'' if value is None else f'{value:,.1f}':>20}" for value in values)
            lines.append(f"{kind + ' ' + name.replace('_', ' '):<44}{cells}")
    header = f"{'':<44}" + "".join(f"{name + ' night':>20}" for name in nights)
    return "\n".join([header, *lines]) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
