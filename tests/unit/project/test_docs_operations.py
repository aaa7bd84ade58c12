"""docs/operations.md names exit codes and keys of ``ulv_runs`` that the code has."""

import re

import pytest

from tests.unit.project.pages import README, ROOT, name_of, rows, section
from ulvspark.contract import errors

PAGE = ROOT / "docs/operations.md"
CODES = {errors.DONE, errors.REFUSED, errors.EXPECTED, errors.BUG, errors.RETRY}
CODE = "".join(path.read_text() for path in sorted((ROOT / "ulvspark").rglob("*.py")))


@pytest.mark.parametrize(("page", "heading"), [(README, "On a cluster"), (PAGE, "Exit codes")], ids=["README", "docs"])
def test_exit_codes(page, heading):
    codes = [cells[0] for cells in rows(section(page, heading)) if cells[0][0].isdigit()]
    numbers = [int(code.partition(",")[0]) for code in codes]
    assert sorted(number for number in numbers if number < 100) == sorted(CODES), name_of(page)


@pytest.mark.parametrize("key", re.findall(r"`(\w+)`", section(PAGE, "What ulv_runs says").partition("\n\n`")[0]))
def test_keys_of_a_night(key):
    # What follows in capitals is the name of a tier; rates are named by what is counted.
    literal = "_per_second" if key.endswith("_per_second") else re.split("[A-Z]", key)[0]
    assert literal in CODE
