"""Errors a user can act on, and the exit codes that schedulers read."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from ulvspark.contract.storage.scratch import keep, scratch_folder

logger = logging.getLogger(__name__)

DONE, REFUSED, EXPECTED, BUG, RETRY = 0, 1, 2, 3, 75
"""How a program ends. 75 is what sysexits.h calls a temporary failure."""


class ExpectedError(Exception):
    """Bad input or configuration: one sentence saying what, where and what to do. Exits 2."""

    exit_code = EXPECTED


class RefusedError(Exception):
    """A result that verification or a gate did not let through; published tables are untouched. Exits 1."""

    exit_code = REFUSED


class RetryableError(Exception):
    """What another try may mend: a store or cluster that does not answer, a conflict, a held lease. Exits 75."""

    exit_code = RETRY


EXPECTED_ENDS = (ExpectedError, RefusedError, RetryableError)
"""Errors whose message is written for whoever started the program."""


Main = Callable[[Sequence[str] | None], int]

_bug_logs: dict[Path, str] = {}


def name_in_bug_reports(log: Path, content: str) -> None:
    """Keep and name ``log``, a file in the scratch folder, and its ``content`` when the program ends with a bug."""
    _bug_logs[log] = content


def run_as_job(main: Main) -> None:
    """Run ``main`` as a program: an expected error becomes one line on stderr, and its exit code.

    A bug keeps its stack trace and exits with 3: Python would exit with 1, which schedulers read as "refused".
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    scratch_folder()
    try:
        code = main(None)
    except EXPECTED_ENDS as error:
        _say(f"{type(error).__name__}: {' '.join(str(error).split())}")
        code = error.exit_code
    except Exception:
        _say(traceback.format_exc().rstrip())
        _name_bug_logs()
        code = BUG
    sys.exit(code)


def _name_bug_logs() -> None:
    while _bug_logs:
        log, content = _bug_logs.popitem()
        _say(f"{content} is in {keep(log)}")


def _say(words: str) -> None:
    """Print to stderr; where nobody reads it any more, the exit code alone tells how the job ended."""
    with contextlib.suppress(OSError, ValueError):
        print(words, file=sys.stderr, flush=True)  # noqa: T201 - the program's last word
