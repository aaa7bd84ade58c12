"""How long the jobs take on small data: sixty rows loaded twice, and two nights of a hundred users.

    python -m benchmarks.small

Each run is a process of its own: a source of sixty events is loaded, and loaded again when nothing is new, each time
beside the usual recipe (``benchmarks.load.usual_load``); then a hundred users are scored by an untrained bundle around
MiniLM, and scored again for the day after. At last the same hundred users with the settings for large data, and whether
the results are the same. Prints the seconds of each run by the clock and, beside them, those of processors, which say
more on a machine that does other work too.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from deltalake import DeltaTable

from benchmarks.processes import ROOT, Cost, print_line, run
from benchmarks.untrained import untrained_bundle
from ulvspark.model.bundle.store import open_store

AS_OF = date(2024, 6, 1)

OF_A_RUN = {"ingested_at", "run_id", "scored_at"}
"""Columns that are other ones in each run."""


def main(argv: Sequence[str] | None = None) -> int:
    parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        models = publish_bundle(folder)
        sixty, hundred = write_source(folder / "sixty", 20, 3), write_source(folder / "hundred", 100, 12)
        print_line("sixty rows, loaded", load(sixty), usual_load(sixty))
        print_line("sixty rows, loaded again", load(sixty), usual_load(sixty))
        load(hundred)
        for number in range(2):
            day = AS_OF + timedelta(days=number)
            print_line(f"a hundred users, night {number + 1}", score(hundred, models, day))
        large = write_source(folder / "large", 100, 12)
        with settings_for_large_data():
            print_line("the same with the settings for large data", load(large))
            for number in range(2):
                print_line("", score(large, models, AS_OF + timedelta(days=number)))
        compare(hundred, large)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return argparse.ArgumentParser(prog="benchmarks.small", description=(__doc__ or "").splitlines()[0])


def write_source(folder: Path, users: int, events: int) -> Path:
    """A folder with events, products and users as Parquet, and ``source.yaml`` which maps them."""
    folder.mkdir()
    start = datetime(2024, 5, 31, 12, tzinfo=UTC)
    titles = (
        "red mug",
        "white heart holder",
        "woolly hottie",
        "paper chain kit",
        "cake stand",
        "tea towel",
        "lunch bag",
    )
    rows = [
        {
            "event_id": f"{user}-{number}", "user_id": f"user{user:03d}", "order_id": f"{user}-{number // 2}",
            "event_time": (start - timedelta(days=7 * number + user % 30)).isoformat(), "event_type": "purchase",
            "product_id": f"p{(user + number) % len(titles)}", "quantity": 1 + number % 3,
            "unit_price": f"{3 + user % 7 + number % 2}.50",
        }
        for user in range(users)
        for number in range(events)
    ]  # fmt: skip
    products = [{"product_id": f"p{n}", "title": title, "category": "home > gifts"} for n, title in enumerate(titles)]
    people = [{"user_id": f"user{user:03d}", "signup": date(2023, 1, 1), "country": "GB"} for user in range(users)]
    tables: dict[str, list[dict[str, Any]]] = {"events": rows, "products": products, "users": people}
    mapping: dict[str, Any] = {"name": "small", "currency": "EUR", "time_zone": "UTC"}
    for name, content in tables.items():
        pd.DataFrame(content).to_parquet(folder / f"{name}.parquet", coerce_timestamps="us")
        columns = {column: column for column in content[0]}
        table = {"read": {"format": "parquet", "path": f"{name}.parquet"}, "columns": columns}
        mapping[name] = [table | {"time_zone": "UTC"}] if name == "events" else table
    mapping["protocol"] = {
        "horizon_days": 30, "training_origins": ["2024-02-01"], "validation_cut": "2024-03-02",
        "test_cut": "2024-04-01",
    }  # fmt: skip
    (folder / "source.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    return folder


def publish_bundle(folder: Path) -> Path:
    """A model store whose champion is an untrained bundle of unit ``event``."""
    store = open_store(str(folder / "models"))
    store.point("champion", store.publish(untrained_bundle("minilm", 64, folder / "bundle", "event")), None)
    return folder / "models"


def load(folder: Path) -> Cost:
    """Load a source into the warehouse in its folder."""
    arguments = (f"--source={folder}/source.yaml", f"--source-root={folder}", f"--warehouse={folder}/warehouse")
    return run("jobs/load_source.py", *arguments)


def usual_load(folder: Path) -> Cost:
    """Load the same tables as one would otherwise write it, into a warehouse of their own."""
    arguments = (f"--source={folder}", "--format=parquet", f"--warehouse={folder}/usual")
    return run("-m benchmarks.load.usual_load", *arguments)


def score(folder: Path, models: Path, as_of: date) -> Cost:
    """Score the users of a loaded warehouse."""
    config = write_config(folder)
    arguments = (f"--as-of={as_of}", f"--models={models}", f"--warehouse={folder}/warehouse", f"--config={config}")
    return run("jobs/score_users.py", *arguments)


@contextmanager
def settings_for_large_data() -> Iterator[None]:
    """Jobs of the block do not fit Spark to the size of what they read, since its master is given."""
    os.environ["PYSPARK_SUBMIT_ARGS"] = "--master local[2] pyspark-shell"
    try:
        yield
    finally:
        del os.environ["PYSPARK_SUBMIT_ARGS"]


def compare(one: Path, other: Path) -> None:
    """Say by how much two warehouses differ, in all that names no run. Raises AssertionError beyond rounding."""
    for name, key in {"events": ["event_id"], "ulv_scores_history": ["as_of_date", "user_id"]}.items():
        tables = [DeltaTable(f"{folder}/warehouse/{name}").to_pandas() for folder in (one, other)]
        ours, theirs = (
            table.drop(columns=[*OF_A_RUN & set(table.columns)]).sort_values(key, ignore_index=True) for table in tables
        )
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-5)
        numbers = ours.select_dtypes("number").columns
        apart = (ours[numbers] - theirs[numbers]).abs().max().max() if len(numbers) else 0.0
        print(f"{name}: {len(ours)} rows, numbers at most {apart:.1g} apart", flush=True)


def write_config(folder: Path) -> Path:
    """``conf/score.yaml`` without limits on the share of a tier: untrained heads may give everyone the same tier."""
    config = yaml.safe_load((ROOT / "conf" / "score.yaml").read_text(encoding="utf-8"))
    config["verification"] |= {"min_tier_share": 0, "max_tier_share": 1}
    path = folder / "score.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


if __name__ == "__main__":
    raise SystemExit(main())
