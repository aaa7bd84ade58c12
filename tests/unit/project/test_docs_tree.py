"""docs/tree.md lists the files as they are; ``make tree`` renews it."""

from tests.tree import PAGE, page


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make tree`"


def test_every_file_says_what_it_is_for():
    assert [line for line in page().splitlines() if line.endswith("|  |")] == []
