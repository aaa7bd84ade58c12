"""How a program ends is a contract with whoever schedules it."""

import pytest

from ulvspark.contract.errors import ExpectedError, RefusedError, RetryableError, run_as_job


def end_of(error, capsys):
    def main(argv):
        if error is not None:
            raise error
        return 0

    with pytest.raises(SystemExit) as ended:
        run_as_job(main)
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RefusedError("too few\n  scores"), 1),
        (ExpectedError("no\n model"), 2),
        (RetryableError("the store\n sleeps"), 75),
    ],
)
def test_an_expected_end_is_one_line(capsys, error, code):
    ended, said = end_of(error, capsys)
    assert ended == code
    assert said == f"{type(error).__name__}: {' '.join(str(error).split())}\n"


def test_a_bug_is_a_stack_trace_and_no_code_that_means_something_else(capsys):
    ended, said = end_of(KeyError("x"), capsys)
    assert ended not in (0, 1, 2)
    assert said.startswith("Traceback")
    assert "KeyError: 'x'" in said


def test_done_is_0(capsys):
    assert end_of(None, capsys) == (0, "")
