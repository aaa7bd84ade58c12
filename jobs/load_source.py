"""Load a company's tables into the warehouse: ``events``, ``products``, ``users``, and ``quarantine`` for bad rows.

spark-submit jobs/load_source.py --source conf/sources/my_shop.yaml --source-root DIR --warehouse ROOT
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime

from ulvspark.contract import arguments
from ulvspark.contract.config import load_config
from ulvspark.contract.dates import parse_time
from ulvspark.contract.errors import DONE, run_as_job
from ulvspark.contract.source.source import SourceConfig
from ulvspark.pipelines.explain_source import explain_source
from ulvspark.pipelines.load_source import JOB, SourceFile, load_source
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import Warehouse


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = arguments.command_parser(JOB, __doc__)
    arguments.add_source(command)
    command.add_argument("--source-root", required=True, metavar="DIR", help="where the mapping's relative paths lie")
    arguments.add_warehouse(command)
    command.add_argument("--full", action="store_true", help="read everything, and find what the source no longer has")
    command.add_argument("--clock", type=parse_time, metavar="ISO", help="the time of the load (default: now)")
    command.add_argument("--explain", action="store_true", help="show what becomes of the first rows; write nothing")
    arguments.add_run(command)
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Load one source. Raises ExpectedError for a mapping or source that is wrong."""
    args = parser().parse_args(argv)
    source = SourceFile(load_config(SourceConfig, args.source), args.source, args.source_root)
    clock, request = args.clock or datetime.now(UTC), arguments.run_request(args)
    session = get_session(JOB, args.warehouse, reads=[args.source_root, args.warehouse])
    if args.explain:
        print(explain_source(session, source, clock))
        return DONE
    warehouse = Warehouse(session, args.warehouse)
    report = load_source(warehouse, source, clock, request, args.full)
    print(f"\n{source.config.name} -> {warehouse.root}\n{report}")
    return DONE


if __name__ == "__main__":
    run_as_job(main)
