"""Run the cases of two jobs at once, and print what each said: ``python -m tests.contention [--s3] [words of a name]``.

``make contention`` does it in a folder and on a real S3-compatible store. A case takes a minute or two.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import boto3

from tests import s3_server
from tests.contention.cases import NIGHT, Case, Shop, cases, scored, statuses, write_score_config
from tests.contention.processes import Ended, ended, kill_when, run_together, start
from tests.contention.week import week
from tests.spark import shop
from tests.spark.pipelines.test_score_users import ANY_CHANGE, ANY_NIGHT, ANY_SHARES, ROOT, publish
from ulvspark.contract.config import load_config
from ulvspark.contract.spec import NetworkSpec
from ulvspark.pipelines.score_users import ScoreConfig
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import Warehouse

USERS_MAY_CHANGE = ANY_CHANGE | {"users": 0.2}

KILLED = "a night beside one that was killed"


def main() -> int:
    """Run the cases; returns how many went wrong."""
    parser = argparse.ArgumentParser(prog="tests.contention", description=__doc__)
    parser.add_argument("--s3", action="store_true", help="the warehouse is on an S3-compatible store")
    parser.add_argument("--week", action="store_true", help="a week of nights instead, and its ulv_runs")
    parser.add_argument("words", nargs="*", help="run the cases alone whose names hold all of these")
    args = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="contention-") as scratch, _place(Path(scratch), args.s3) as (root, given):
        made, warehouse = _made(Path(scratch), root, ANY_NIGHT | ({"change": USERS_MAY_CHANGE} if args.week else {}))
        if args.week:
            sys.stdout.write(week(made, warehouse, given) + "\n")
            return 0
        for case in cases(made):
            if all(word in case.name for word in args.words):
                wrong += _report(case, warehouse, run_together(case.programs, given))
        if all(word in KILLED for word in args.words):
            wrong += _report(*_after_a_kill(made, warehouse, given))
    return wrong


@contextmanager
def _place(folder: Path, on_s3: bool) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The address of a warehouse, and what the environment of a job that uses it must hold."""
    if not on_s3:
        yield str(folder / "warehouse"), {}
        return
    (folder / "s3").mkdir()
    with s3_server.running(folder / "s3") as endpoint:
        settings = {"endpoint": endpoint.url, "path.style.access": "true", "connection.ssl.enabled": "false"}
        flags = " ".join(f"--conf spark.hadoop.fs.s3a.{name}={value}" for name, value in settings.items())
        environment = endpoint.environment | {"PYSPARK_SUBMIT_ARGS": f"{flags} pyspark-shell"}
        os.environ.update(environment)
        boto3.Session().client("s3").create_bucket(Bucket="lake")
        yield "s3a://lake/ulv", environment


def _made(folder: Path, root: str, gates: Mapping[str, object]) -> tuple[Shop, Warehouse]:
    """A shop that was scored once."""
    warehouse = Warehouse(get_session("contention", root, reads=[]), root)
    shop.fill(warehouse)
    models = publish(folder / "models", NetworkSpec(hidden_size=8, use_text=False), "champion")
    shipped = load_config(ScoreConfig, ROOT / "conf/score.yaml").model_dump()
    config = write_score_config(folder / "score.yaml", shipped | {"verification": ANY_SHARES, "gates": gates})
    return Shop(root, models, config, folder), warehouse


def _after_a_kill(made: Shop, warehouse: Warehouse, given: Mapping[str, str]) -> tuple[Case, Warehouse, list[Ended]]:
    """A night is killed while it has the lease; one that waits gets its turn when the lease expires."""
    # Later than the dates of all cases before.
    date = NIGHT + timedelta(days=20)
    _, job, arguments = made.score("killed", date)
    killed = start(job, [*arguments, "--run-id=killed"], given)
    kill_when(killed, lambda: statuses(warehouse)["started"] > 0)
    second = made.score("after the kill", date, "--wait=600")
    case = Case(KILLED, [second], [0], scored(date))
    began = time.monotonic()
    night = ended("after the kill", start(job, second[2], given), began)
    assert warehouse.read("ulv_runs").where("run_id = 'killed'").first().status == "killed"
    return case, warehouse, [night]


def _report(case: Case, warehouse: Warehouse, results: list[Ended]) -> bool:
    """Print what became of a case; returns whether it went wrong."""
    lines = [f"  {each.name}: {each.code} after {each.seconds:.0f} s {each.said}" for each in results]
    try:
        assert sorted(each.code for each in results) == case.codes, f"not {case.codes}"
        case.check(warehouse)
        outcome = "as it should be"
    except AssertionError as error:
        outcome = f"WRONG: {error}"
    where = "s3" if "://" in warehouse.root else "folder"
    sys.stdout.write("\n".join([f"{case.name} ({where}): {outcome}", *lines, ""]))
    sys.stdout.flush()
    return outcome.startswith("WRONG")


if __name__ == "__main__":
    sys.exit(main())
