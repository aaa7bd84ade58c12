"""Scoring texts in Spark: this project beside what one would otherwise write, in one run, on the same cores and texts.

    python -m benchmarks.bench [--bundle FOLDER] [--event-bundle FOLDER] [--warehouse ROOT] [--users 1600] [--rounds 3]

The ways run in turn, round by round, so that what else the machine does hits all of them; each is warm when the clock
starts. Without --bundle, MiniLM with untrained heads is read. Texts are made up, with lognormal lengths; --warehouse
adds the real ones of its training set. Unit event, whose texts were read before, follows beside the same usual rate.
Written to benchmarks/results/ as JSON and Markdown.
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

from benchmarks import contenders, in_spark, matrix_speed, memory, reporting, sequences, texts
from benchmarks.reporting import Measured, Result
from benchmarks.texts import Users
from benchmarks.untrained import untrained_bundle
from ulvspark.history.recent_events import RECORD
from ulvspark.warehouse.session import SETTINGS

ROOT = Path(__file__).parents[1]
CHANGED = "1 % changed"
COPIES = 100
"""Times that the users stand in a night with few changes, else it would be over before it is measured."""
REMEMBERED = (contenders.USUAL, *(name for name in contenders.ENCODERS if name.startswith("ulvspark")))
"""Ways whose workers are measured."""


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    number, rounds = (48, 1) if args.quick else (args.users, args.rounds)
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.bundle or untrained_bundle(args.base, args.max_tokens, Path(scratch) / "bundle")
        bundle = str(Path(folder).resolve())
        session = spark(args.cores)
        # As many as the workers have together; torch takes all there are.
        torch.set_num_threads(args.cores)
        bare_rates = matrix_speed.tokens_per_second(contenders.backbone(bundle), rounds)
        sets = [run(session, users, bundle, rounds, Path(scratch)) for users in sets_of_users(args, bundle, number)]
        many = number * COPIES if args.quick else args.sequences
        sets.append(run_sequences(session, sets[0].results[0], many, event_bundle(args, scratch), rounds))
    about = reporting.machine(args.cores) | {"rounds": rounds, "bare_tokens_per_second": bare_rates}
    written = reporting.write(Path(args.out), about, sets)
    print(f"\n{written.read_text()}\nwritten to {written}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="benchmarks.bench", description=(__doc__ or "").splitlines()[0])
    found.add_argument("--bundle", metavar="FOLDER", help="one of unit history, saved in fp32")
    found.add_argument("--event-bundle", metavar="FOLDER", help="one of unit event (default: untrained)")
    found.add_argument("--base", default="minilm", help="of the untrained bundle (default: %(default)s)")
    found.add_argument("--max-tokens", type=int, default=256, help="of the untrained bundle (default: %(default)s)")
    found.add_argument("--warehouse", metavar="ROOT", help="adds the texts of its training set")
    found.add_argument("--users", type=int, default=1600, help="of real texts, a quarter as many")
    found.add_argument("--sequences", type=int, default=100_000, help="users of unit event")
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--cores", type=int, default=1)
    found.add_argument("--quick", action="store_true", help="48 users, one round: to see that it runs")
    found.add_argument("--out", default=str(ROOT / "benchmarks/results"), metavar="DIR")
    return found


def spark(cores: int) -> SparkSession:
    # Workers import this folder's modules, and compute with one thread each.
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "PYSPARK_PYTHON": sys.executable}
    # As in production, without the parts of Delta, which would have to be fetched.
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


def sets_of_users(args: argparse.Namespace, bundle: str, number: int) -> list[Users]:
    own = contenders.reader(bundle)
    history = contenders.predictor(bundle).manifest.history
    found = [texts.synthetic(number, own.tokenizer, own.spec, history)]
    if args.warehouse:
        # Each is three times as long.
        found.append(texts.real(number // 4, args.warehouse, own.tokenizer, own.spec, history))
    return found


def run(session: SparkSession, users: Users, bundle: str, rounds: int, scratch: Path) -> Measured:
    """Every way on one set of users; the first is the usual recipe."""
    print(users.describe(), flush=True)
    frame = in_spark.frame(session, users)
    ways = prepared(frame, users, bundle)
    tiers: dict[str, np.ndarray] = {}
    for number in range(rounds):
        for result, way in ways:
            started = time.perf_counter()
            found = way.select("id", "tier").toPandas()
            result.seconds.append(time.perf_counter() - started)
            tiers[result.name] = found.sort_values("id")["tier"].to_numpy()
            print(f"round {number + 1}, {result.name}: {result.users / result.seconds[-1]:,.1f} users/s", flush=True)
    saved = scratch / "texts.parquet"
    users.rows.head(32)[["profile", "events"]].to_parquet(saved)
    for result, _ in ways:
        copies = result.users // len(users.rows)
        usual = np.repeat(tiers[contenders.USUAL], copies)
        result.equal_tiers = float((tiers[result.name] == usual).mean())
        if result.name in REMEMBERED:
            result.memory = memory.measure(result.name, bundle, saved)
    absent = [(name, contenders.missing(name)) for name in contenders.ENCODERS if contenders.missing(name)]
    notes = [Result(name, note=f"not installed: {', '.join(packages)}") for name, packages in absent]
    return Measured(users.describe(), float(users.tokens.mean()), [result for result, _ in ways] + notes)


def event_bundle(args: argparse.Namespace, scratch: str) -> str:
    made = args.event_bundle or untrained_bundle(args.base, args.max_tokens, Path(scratch) / "event", "event")
    return str(Path(made).resolve())


def run_sequences(session: SparkSession, usual: Result, number: int, bundle: str, rounds: int) -> Measured:
    """Unit event, whose texts were read before, beside the rate of ``usual``."""
    with tempfile.TemporaryDirectory() as scratch:
        frame, population = sequences.made_up(session, number, bundle, Path(scratch))
        (mean,) = frame.agg(F.avg(F.length("sequence")) / RECORD.itemsize).first() or (0.0,)
        results = timed(sequences.ways(frame, bundle, population, scratch), number, rounds)
    described = f"{number:,} made-up users of {mean:.0f} events on average, {sequences.TEXTS:,} texts read before"
    return Measured(described, None, [usual, *results])


def timed(ways: dict[str, DataFrame], users: int, rounds: int) -> list[Result]:
    """Each way in turn, warm."""
    results = [Result(name, users) for name in ways]
    for way in ways.values():
        way.count()
    for turn in range(rounds):
        for result in results:
            started = time.perf_counter()
            ways[result.name].toPandas()
            result.seconds.append(time.perf_counter() - started)
            print(f"round {turn + 1}, {result.name}: {users / result.seconds[-1]:,.1f} users/s", flush=True)
    return results


def prepared(frame: DataFrame, users: Users, bundle: str) -> list[tuple[Result, DataFrame]]:
    """The ways to measure, each run once on a few users: models are loaded before the clock starts."""
    names = [name for name in contenders.ENCODERS if not contenders.missing(name)]
    if any(name.startswith("ONNX") for name in names):
        contenders.export_onnx(bundle)
    ways = [(Result(name, len(users.rows)), in_spark.scored(name, frame, bundle, users.population)) for name in names]
    for name in names:
        # All of the rows that are asked for: a worker that is left before its end is not used again.
        in_spark.scored(name, frame.where("id < 4"), bundle, users.population).collect()
        if name.startswith("ulvspark"):
            known = in_spark.mostly_known(name, frame, bundle, users.population, COPIES).cache()
            result = Result(f"{name}, {CHANGED}", known.count())
            ways.append((result, in_spark.scored(name, known, bundle, users.population)))
    return ways


if __name__ == "__main__":
    raise SystemExit(main())
