"""Build the training set: behaviour as of each date of the protocol, and what users did in the window after it.

    spark-submit jobs/build_training_set.py --source conf/sources/my_shop.yaml --history conf/history.yaml \
        --as-of DATE --warehouse ROOT
"""

import argparse
from collections.abc import Sequence

from ulvspark.contract import arguments
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import DONE, run_as_job
from ulvspark.contract.source.source import SourceConfig
from ulvspark.contract.spec import HistorySpec
from ulvspark.pipelines.build_training_set import JOB, build_training_set
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import Warehouse


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = arguments.command_parser(JOB, __doc__)
    arguments.add_source(command)
    arguments.add_config(command, "conf/history.yaml", "--history", "what is computed of a user")
    arguments.add_warehouse(command)
    arguments.add_training_as_of(command)
    arguments.add_run(command)
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Build ``training_set``. Raises ExpectedError where its dates do not fit the data, or there are none."""
    args = parser().parse_args(argv)
    source, spec = load_config(SourceConfig, args.source), load_config(HistorySpec, args.history)
    warehouse = Warehouse(get_session(JOB, args.warehouse, reads=[args.warehouse]), args.warehouse)
    meta = build_training_set(warehouse, source, spec, arguments.run_request(args), args.as_of)
    print(f"training set of {len(meta.protocol.dates)} dates in {warehouse.root}, run {meta.run_id}: {meta.protocol}")
    return DONE


if __name__ == "__main__":
    run_as_job(main)
