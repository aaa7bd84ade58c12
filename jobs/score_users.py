"""Score every user as of a date and publish the scores, once they are verified.

    spark-submit jobs/score_users.py --as-of DATE --warehouse ROOT --models ROOT --model champion \
        --config conf/score.yaml --tiers conf/tiers.yaml
"""

import argparse
from collections.abc import Sequence

from ulvspark.contract import arguments
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import DONE, run_as_job
from ulvspark.model.bundle.store import open_store
from ulvspark.pipelines.score_users import JOB, ScoreConfig, score_users
from ulvspark.scoring.tiers import TierDecision
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import Warehouse


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = arguments.command_parser(JOB, __doc__)
    arguments.add_as_of(command)
    arguments.add_warehouse(command)
    arguments.add_models(command)
    arguments.add_model(command)
    arguments.add_config(command, "conf/score.yaml")
    arguments.add_config(command, "conf/tiers.yaml", "--tiers", "how tiers are decided")
    command.add_argument(
        "--accept-change", action="store_true", help="publish this once what the gates in score.yaml would refuse"
    )
    arguments.add_run(command)
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Score one date. Raises RefusedError when the scores must not be published, ExpectedError for bad input."""
    args = parser().parse_args(argv)
    config, decision = load_config(ScoreConfig, args.config), load_config(TierDecision, args.tiers)
    warehouse = Warehouse(get_session(JOB, args.warehouse, reads=[args.warehouse]), args.warehouse)
    request = arguments.run_request(args)
    score_users(
        warehouse, open_store(args.models), args.model, args.as_of, config, decision, request, args.accept_change
    )
    return DONE


if __name__ == "__main__":
    run_as_job(main)
