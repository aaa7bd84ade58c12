"""Writing to disk: full disks as the libraries report them, and folders that appear whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.storage.disk import full_disk_as_expected_error, new_folder

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
        full_disk_as_expected_error("writing"),
    ):
        write()


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), full_disk_as_expected_error("reading"):
        (tmp_path / "gone").read_text()
    with pytest.raises(RuntimeError, match="does not exist"), full_disk_as_expected_error("writing"):
        torch.save({}, tmp_path / "gone" / "file")


def test_a_new_folder_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "new"
    with new_folder(folder) as partial:
        (partial / "file").write_text("content")
        assert not folder.exists()
    assert (folder / "file").read_text() == "content"
    assert [path.name for path in folder.parent.iterdir()] == ["new"]


def write_halfway(folder: Path) -> None:
    with new_folder(folder) as partial:
        (partial / "file").write_text("content")
        raise RuntimeError("halfway")


def test_an_error_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="halfway"):
        write_halfway(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def write_while_someone_is_faster(folder: Path) -> None:
    with new_folder(folder):
        folder.mkdir()
        (folder / "file").write_text("theirs")


def test_a_folder_that_exists_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with pytest.raises(ExpectedError, match="old exists and is not overwritten; give another folder"):
        new_folder(tmp_path / "old").__enter__()
    with pytest.raises(OSError, match="not empty"):
        write_while_someone_is_faster(tmp_path / "raced")
    assert (tmp_path / "raced" / "file").read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "raced"]
