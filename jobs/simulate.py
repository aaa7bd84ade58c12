"""Write a simulated platform's tables and the truth behind them: events, products, users, truth."""

import argparse
from collections.abc import Sequence

from pyspark.sql import functions as F

from ulvspark.contract.config import load_config
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.simulation.behaviour import event_log
from ulvspark.simulation.catalogue import catalogue
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.people import members, people, truth
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import CURRENCY, Warehouse


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(prog="simulate", description=__doc__)
    arguments.add_argument("--config", default="conf/simulation.yaml", help="sizes, dates and rates")
    arguments.add_argument("--out", required=True, help="where the tables go: a folder or s3a:// address")
    arguments.add_argument("overrides", nargs="*", metavar="key=value", help="set a value of the config")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate; an existing simulation in ``--out`` is replaced, a warehouse is not (ExpectedError)."""
    options = parser().parse_args(argv)
    config = load_config(SimulationConfig, options.config, options.overrides)
    spark = get_session("simulate", options.out)
    tables = Warehouse(spark, options.out)
    _check_is_no_warehouse(tables)
    everyone = people(spark, config)
    frames = {
        "products": catalogue(spark, config),
        "users": members(everyone, config),
        "truth": truth(everyone, config),
        "events": event_log(everyone, config),
    }
    for name, frame in frames.items():
        tables.overwrite(frame, name)
        print(f"{name}: {tables.read(name).agg(F.count('*')).collect()[0][0]:,} rows under {options.out}/{name}")
    return DONE


def _check_is_no_warehouse(tables: Warehouse) -> None:
    if tables.exists("events") and CURRENCY in tables.properties("events"):
        raise ExpectedError(
            f"--out {tables.root} is a warehouse, whose users would be replaced by made-up ones; give another folder"
        )


if __name__ == "__main__":
    run_as_job(main)
