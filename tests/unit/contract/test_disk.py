"""A full disk, as the libraries that write to it tell of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ulvspark.contract.disk import told_when_full
from ulvspark.contract.errors import ExpectedError

FULL = "/dev/full"


@pytest.mark.parametrize(
    "write",
    [
        lambda: Path(FULL).write_text("a"),
        lambda: torch.save({"a": torch.zeros(10)}, FULL),
        lambda: torch.save({"a": torch.zeros(1_000_000)}, FULL),
    ],
    ids=["text", "few weights", "many weights"],
)
def test_a_full_disk_is_a_sentence(write: Callable[[], object]) -> None:
    with (
        pytest.raises(ExpectedError, match="no space left on disk while writing; free some"),
        told_when_full("writing"),
    ):
        write()


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), told_when_full("reading"):
        (tmp_path / "gone").read_text()
    with pytest.raises(RuntimeError, match="does not exist"), told_when_full("writing"):
        torch.save({}, tmp_path / "gone" / "file")
