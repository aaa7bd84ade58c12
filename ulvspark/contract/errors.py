"""Errors a user can act on, and the exit codes that schedulers read."""

import logging
import sys
import traceback
from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

DONE, REFUSED, EXPECTED, BUG = 0, 1, 2, 3


class ExpectedError(Exception):
    """Bad input or configuration: one sentence saying what, where and what to do. Exits 2."""

    exit_code = EXPECTED


class RefusedError(Exception):
    """A result that verification did not let through; published tables are untouched. Exits 1."""

    exit_code = REFUSED


Main = Callable[[Sequence[str] | None], int]


def run_as_job(main: Main) -> None:
    """Run ``main`` as a program: expected errors become one line and an exit code.

    A bug stays a stack trace but does not exit as Python would, with 1: that says "refused" to a scheduler.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    try:
        code = main(None)
    except (ExpectedError, RefusedError) as error:
        words = " ".join(str(error).split())
        print(f"{type(error).__name__}: {words}", file=sys.stderr)  # noqa: T201 - the program's last word
        code = error.exit_code
    except Exception:
        traceback.print_exc()
        code = BUG
    sys.exit(code)
