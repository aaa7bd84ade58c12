"""The command-line flags that several programs share, each declared once."""

import argparse
import re
from dataclasses import dataclass

from ulvspark.contract.dates import parse_date
from ulvspark.contract.errors import ExpectedError

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,199}")


@dataclass(frozen=True)
class RunRequest:
    """What the command line asks of a run that writes to a warehouse."""

    run_id: str | None = None
    """The name that a scheduler gives to the run; None to have one made."""
    wait_seconds: float = 0
    """How long the run waits for another one that writes to the same tables."""


def command_parser(program: str, docstring: str | None) -> argparse.ArgumentParser:
    """A parser without flags yet; ``--help`` starts with the first line of the program's ``docstring``."""
    return argparse.ArgumentParser(prog=program, description=(docstring or "").partition("\n")[0])


def add_warehouse(parser: argparse.ArgumentParser) -> None:
    """``--warehouse``: where the Delta tables are."""
    parser.add_argument(
        "--warehouse",
        required=True,
        metavar="ROOT",
        help="where the tables are: a folder or s3a://...; for the programs in jobs/ also catalog:database",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """``--run-id`` and ``--wait``, for programs that write to a warehouse; ``run_request`` reads them."""
    parser.add_argument(
        "--run-id",
        type=_run_id,
        metavar="ID",
        help="the run's name in ulv_runs, which has it once (default: the job, the time and a random suffix)",
    )
    parser.add_argument(
        "--wait",
        type=int,
        default=0,
        metavar="SECONDS",
        help="wait so long for a run that writes to the same tables; then, or at once by default, exit with 75",
    )


def run_request(args: argparse.Namespace) -> RunRequest:
    """What ``add_run`` was given."""
    return RunRequest(args.run_id, args.wait)


def _run_id(text: str) -> str:
    if not RUN_ID.fullmatch(text):
        raise ExpectedError(
            f"--run-id {text!r} cannot name a run; write at most 200 letters, digits and _ . : + -, a letter or "
            "digit first"
        )
    return text


def add_source(parser: argparse.ArgumentParser) -> None:
    """``--source``: the YAML file that maps a company's tables."""
    parser.add_argument(
        "--source",
        required=True,
        metavar="YAML",
        help="how the company's tables are mapped, and its dates for training: one of conf/sources/*.yaml",
    )


def add_as_of(parser: argparse.ArgumentParser) -> None:
    """``--as-of``, parsed to a ``datetime.date``; ``parse_args`` raises ExpectedError for what is no date."""
    parser.add_argument(
        "--as-of",
        required=True,
        type=parse_date,
        metavar="DATE",
        help="the date of the scores, as YYYY-MM-DD: they use no event at or after its midnight",
    )


def add_training_as_of(parser: argparse.ArgumentParser) -> None:
    """``--as-of`` of a training set, parsed to a ``datetime.date``; None where it is not given."""
    parser.add_argument(
        "--as-of",
        type=parse_date,
        metavar="DATE",
        help="no label window ends later; rolling dates are counted back from it (default: the newest complete day)",
    )


def add_models(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """``--models``: the store of bundles; None where it is not required and not given."""
    parser.add_argument(
        "--models", required=required, metavar="ROOT", help="the store of bundles: a folder or s3://..."
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """``--model``: a bundle in the store."""
    parser.add_argument(
        "--model", default="champion", metavar="NAME", help="a bundle's version or alias (default: %(default)s)"
    )


def add_config(
    parser: argparse.ArgumentParser, default: str, flag: str = "--config", meaning: str = "the configuration"
) -> None:
    """``--config``, or ``flag`` for another configuration file; ``default`` is the path that is read without it."""
    parser.add_argument(flag, default=default, metavar="YAML", help=f"{meaning} (default: %(default)s)")


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """``a.b=value`` arguments, as ``load_config`` takes them."""
    parser.add_argument(
        "overrides", nargs="*", metavar="a.b=value", help="values that replace those of the configuration"
    )


def add_cut(parser: argparse.ArgumentParser, default: str = "validation") -> None:
    """``--cut``: a date of the source's protocol."""
    parser.add_argument(
        "--cut",
        choices=("validation", "test"),
        default=default,
        help="a date of the protocol: learn from labels known by then, report on its users (default: %(default)s)",
    )


def add_elsewhere(parser: argparse.ArgumentParser) -> None:
    """``--elsewhere``: a list of the warehouses of other platforms, empty where none is given."""
    parser.add_argument(
        "--elsewhere",
        action="append",
        default=[],
        metavar="ROOT",
        help="the warehouse of another platform to learn from too; may be given several times",
    )


def add_runs(parser: argparse.ArgumentParser) -> None:
    """``--runs``: where training keeps its files."""
    parser.add_argument(
        "--runs", default="runs", metavar="DIR", help="checkpoints, logs and pictures (default: %(default)s)"
    )
