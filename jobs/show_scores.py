"""Show the scores of a date in the terminal: the tiers, and some users with what was read of them.

    python jobs/show_scores.py --as-of DATE --warehouse ROOT --models ROOT --model champion [--picture tiers.png]

For demo data: the examples print users' ids and texts to the terminal.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ulvspark.contract import arguments
from ulvspark.contract.errors import DONE, run_as_job
from ulvspark.model.bundle.store import open_store
from ulvspark.model.predictor import Predictor
from ulvspark.pipelines.show_scores import JOB, show_scores
from ulvspark.pipelines.tier_picture import tier_picture
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.settings import read_settings
from ulvspark.warehouse.tables import Warehouse


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = arguments.command_parser(JOB, __doc__)
    arguments.add_as_of(command)
    arguments.add_warehouse(command)
    arguments.add_models(command)
    arguments.add_model(command)
    command.add_argument(
        "--examples", type=int, default=5, metavar="N", help="users shown with ids and texts (default: 5)"
    )
    command.add_argument("--picture", type=Path, metavar="PNG", help="also draw the tiers into this file")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Print one date's scores. Raises ExpectedError when the date was not scored by this bundle."""
    args = parser().parse_args(argv)
    warehouse = Warehouse(get_session(JOB, args.warehouse, reads=[args.warehouse]), args.warehouse)
    with TemporaryDirectory() as scratch:
        predictor = Predictor.load(open_store(args.models).fetch(args.model, Path(scratch)))
        shown = show_scores(warehouse, predictor, args.as_of, args.examples)
    print(shown.text)
    if args.picture is not None:
        tier_picture(shown.tiers, read_settings(warehouse).currency, args.picture)
        print(f"\nThe tiers as a picture: {args.picture}")
    return DONE


if __name__ == "__main__":
    run_as_job(main)
