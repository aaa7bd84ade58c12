"""Compare this project's scoring in Spark with what teams usually write, on the same cores and the same texts.

    python -m benchmarks.bench [--bundle FOLDER] [--event-bundle FOLDER] [--warehouse ROOT] [--users 1600] [--rounds 3]

The contenders take turns, round by round, so that other load on the machine hits all of them alike. Each has loaded its
model before the clock starts. Without --bundle, they run MiniLM with untrained heads. Texts are made up, with lognormal
lengths; --warehouse adds the real texts of its training set. A last table compares unit event, whose texts are encoded
beforehand, with the baseline. The results go to benchmarks/results/ as JSON and Markdown.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks import matrix_speed
from benchmarks.comparison import contenders, in_spark, memory, reporting, sequences, texts
from benchmarks.comparison.reporting import Comparison, Result
from benchmarks.comparison.texts import Users
from benchmarks.untrained import untrained_bundle
from ulvspark.contract import arguments
from ulvspark.history.recent_events import RECORD
from ulvspark.warehouse.session import SETTINGS

ROOT = Path(__file__).parents[1]
CHANGED = "1 % of users changed"
COPIES = 100
"""How often the users are repeated for a night with few changes, which would be too short to measure otherwise."""
MEMORY_MEASURED = (contenders.BASELINE, *(name for name in contenders.ENCODERS if name.startswith("ulvspark")))
"""Contenders whose workers' memory is measured."""
QUICK_USERS = 48


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    number, rounds = (QUICK_USERS, 1) if args.quick else (args.users, args.rounds)
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.bundle or untrained_bundle(args.base, args.max_tokens, Path(scratch) / "bundle")
        bundle = str(Path(folder).resolve())
        session = spark(args.cores)
        # As many threads as all workers have together; torch's default is all cores of the machine.
        torch.set_num_threads(args.cores)
        bare_rates = matrix_speed.tokens_per_second(contenders.backbone(bundle), rounds)
        user_sets = make_user_sets(args, bundle, number)
        comparisons = [compare_on_texts(session, users, bundle, rounds, Path(scratch)) for users in user_sets]
        baseline, event_users = comparisons[0].results[0], number * COPIES if args.quick else args.sequences
        comparisons.append(compare_unit_event(session, baseline, event_users, event_bundle(args, scratch), rounds))
    machine = reporting.machine(args.cores) | {"rounds": rounds, "bare_tokens_per_second": bare_rates}
    page = reporting.write(Path(args.out), machine, comparisons)
    print(f"\n{page.read_text()}\nwritten to {page}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = arguments.command_parser("benchmarks.bench", __doc__)
    command.add_argument(
        "--bundle", metavar="FOLDER", help="a bundle of unit history, saved in fp32 (default: an untrained one)"
    )
    command.add_argument("--event-bundle", metavar="FOLDER", help="a bundle of unit event (default: an untrained one)")
    command.add_argument("--base", default="minilm", help="base encoder of untrained bundles (default: %(default)s)")
    command.add_argument(
        "--max-tokens", type=int, default=256, help="tokens a text in untrained bundles (default: %(default)s)"
    )
    command.add_argument("--warehouse", metavar="ROOT", help="also measure the texts of this warehouse's training set")
    command.add_argument(
        "--users", type=int, default=1600, help="made-up users, and four times the real ones (default: %(default)s)"
    )
    command.add_argument("--sequences", type=int, default=100_000, help="users of unit event (default: %(default)s)")
    command.add_argument("--rounds", type=int, default=3, help="measurements of each contender (default: %(default)s)")
    command.add_argument("--cores", type=int, default=1, help="Spark's worker processes (default: %(default)s)")
    command.add_argument("--quick", action="store_true", help=f"{QUICK_USERS} users, one round: a check that it runs")
    command.add_argument(
        "--out", default=str(ROOT / "benchmarks/results"), metavar="DIR", help="where bench.json and bench.md go"
    )
    return command


def spark(cores: int) -> SparkSession:
    """A local session with the settings of production, except those of Delta, whose JARs would be downloaded."""
    # Workers import this folder's modules and compute with one thread each.
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "PYSPARK_PYTHON": sys.executable}
    settings = {name: value for name, value in SETTINGS.items() if "delta" not in value} | {
        "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": str(cores),
        "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
        "spark.ui.showConsoleProgress": "false",
    }  # fmt: skip
    builder = SparkSession.builder.master(f"local[{cores}]").appName("bench")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def make_user_sets(args: argparse.Namespace, bundle: str, number: int) -> list[Users]:
    """Made-up users and, with --warehouse, real ones."""
    reader, history = contenders.reader(bundle), contenders.predictor(bundle).manifest.history
    user_sets = [texts.made_up_users(number, reader.tokenizer, reader.spec, history)]
    if args.warehouse:
        # A quarter as many, because each of their texts is about three times as long.
        user_sets.append(texts.real_users(number // 4, args.warehouse, reader.tokenizer, reader.spec, history))
    return user_sets


def compare_on_texts(session: SparkSession, users: Users, bundle: str, rounds: int, scratch: Path) -> Comparison:
    """Measure every contender on one set of users; the first one is the baseline."""
    print(users.describe(), flush=True)
    frame = in_spark.users_frame(session, users)
    measured = prepare(frame, users, bundle)
    tiers: dict[str, np.ndarray] = {}
    for turn in range(rounds):
        for result, scores in measured:
            started = time.perf_counter()
            scored = scores.select("id", "tier").toPandas()
            report_round(turn, result, time.perf_counter() - started)
            tiers[result.name] = scored.sort_values("id")["tier"].to_numpy()
    sample = scratch / "texts.parquet"
    users.rows.head(32)[["profile", "events"]].to_parquet(sample)
    for result, _ in measured:
        baseline_tiers = np.repeat(tiers[contenders.BASELINE], result.users // len(users.rows))
        result.equal_tiers = float((tiers[result.name] == baseline_tiers).mean())
        if result.name in MEMORY_MEASURED:
            result.memory = memory.measure(result.name, bundle, sample)
    results = [result for result, _ in measured]
    return Comparison(users.describe(), float(users.tokens.mean()), [*results, *not_installed()])


def not_installed() -> list[Result]:
    """A result without a rate for each contender whose packages are not installed."""
    missing = {name: contenders.missing_packages(name) for name in contenders.ENCODERS}
    return [
        Result(name, note=f"not installed: {', '.join(packages)}") for name, packages in missing.items() if packages
    ]


def prepare(frame: DataFrame, users: Users, bundle: str) -> list[tuple[Result, DataFrame]]:
    """The scores of each contender, not computed yet. Each has run on a few users, so that its model is loaded."""
    names = [name for name in contenders.ENCODERS if not contenders.missing_packages(name)]
    if any(name.startswith("ONNX") for name in names):
        contenders.export_onnx(bundle)
    population = users.population
    measured = [(Result(name, len(users.rows)), in_spark.scored(name, frame, bundle, population)) for name in names]
    for name in names:
        # Collect all rows: Spark does not reuse a Python worker that was stopped before its last row.
        in_spark.scored(name, frame.where("id < 4"), bundle, population).collect()
        if name.startswith("ulvspark"):
            mostly_encoded = in_spark.mostly_encoded(name, frame, bundle, population, COPIES).cache()
            result = Result(f"{name}, {CHANGED}", mostly_encoded.count())
            measured.append((result, in_spark.scored(name, mostly_encoded, bundle, population)))
    return measured


def event_bundle(args: argparse.Namespace, scratch: str) -> str:
    """The folder of --event-bundle, or of an untrained bundle of unit event."""
    folder = args.event_bundle or untrained_bundle(args.base, args.max_tokens, Path(scratch) / "event", "event")
    return str(Path(folder).resolve())


def compare_unit_event(session: SparkSession, baseline: Result, number: int, bundle: str, rounds: int) -> Comparison:
    """Measure unit event on ``number`` made-up users, and compare it with the rate of ``baseline``."""
    with tempfile.TemporaryDirectory() as scratch:
        frame, population = sequences.made_up_users(session, number, bundle, Path(scratch))
        (mean_events,) = frame.agg(F.avg(F.length("sequence")) / RECORD.itemsize).first() or (0.0,)
        results = measure_in_turn(sequences.scores(frame, bundle, population, scratch), number, rounds)
    description = (
        f"{number:,} made-up users of {mean_events:.0f} events on average, {sequences.TEXTS:,} texts encoded before"
    )
    return Comparison(description, None, [baseline, *results])


def measure_in_turn(scores: dict[str, DataFrame], users: int, rounds: int) -> list[Result]:
    """Compute each of ``scores`` once a round, after once without the clock."""
    results = [Result(name, users) for name in scores]
    for frame in scores.values():
        frame.count()
    for turn in range(rounds):
        for result in results:
            started = time.perf_counter()
            scores[result.name].toPandas()
            report_round(turn, result, time.perf_counter() - started)
    return results


def report_round(turn: int, result: Result, seconds: float) -> None:
    """Add the seconds of a round to ``result`` and print its rate."""
    result.seconds.append(seconds)
    print(f"round {turn + 1}, {result.name}: {result.users / seconds:,.1f} users/s", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
