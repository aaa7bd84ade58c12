"""Write a simulated platform's tables and, in the folder truth, what is behind them; or add the days since.

python jobs/simulate.py --out DIR [--config conf/simulation.yaml] [--until DATE [--assignments TABLE]] [users=1000 ...]
"""

import argparse
from collections.abc import Sequence

from ulvspark.contract import arguments
from ulvspark.contract.config import load_config
from ulvspark.contract.dates import parse_date
from ulvspark.contract.errors import DONE, run_as_job
from ulvspark.pipelines.simulate import JOB, simulate
from ulvspark.simulation.config import SimulationConfig
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import Warehouse


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = arguments.command_parser(JOB, __doc__)
    arguments.add_config(command, "conf/simulation.yaml")
    command.add_argument("--out", required=True, metavar="ROOT", help="where the tables go: a folder or s3a://...")
    command.add_argument("--until", type=parse_date, metavar="DATE", help="add the days up to this one, not included")
    command.add_argument("--assignments", metavar="TABLE", help="a Delta table (user_id, offer, arm): who gets offers")
    arguments.add_overrides(command)
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate. Raises ExpectedError as ``ulvspark.pipelines.simulate`` does."""
    args = parser().parse_args(argv)
    config = load_config(SimulationConfig, args.config, args.overrides)
    session = get_session(JOB, args.out, makes_little=config.is_small)
    rows = simulate(Warehouse(session, args.out), config, args.until, args.assignments)
    for name, number in rows.items():
        print(f"{name}: {number:,} rows")
    print(f"The tables are in {args.out}, and what is behind them in {args.out}/truth.")
    return DONE


if __name__ == "__main__":
    run_as_job(main)
