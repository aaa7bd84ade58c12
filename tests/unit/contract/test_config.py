"""Configuration files: whatever is wrong with one is said in a sentence that names it."""

import pytest

from ulvspark.contract.config import load_config, parse_date
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import HistorySpec


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("recent_events: [", "not valid YAML"),
        ("recent_events: 2025-06-31", "not valid YAML: day is out of range"),
        ("- 32", "expected keys and values"),
        ("recent_events: 0\nwindow: 3", "recent_events: Input should be greater .*; window: unknown key"),
        ("extends: nowhere.yaml", "nowhere.yaml: no such file"),
        ("extends: history.yaml", r"history\.yaml extends history\.yaml, which never ends"),
        (b"\xff\xfe", "cannot be read as text"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    path = tmp_path / "history.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ExpectedError, match=message) as caught:
        load_config(HistorySpec, path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(ExpectedError, match=r"gone\.yaml: no such file"):
        load_config(HistorySpec, tmp_path / "gone.yaml")
    with pytest.raises(ExpectedError, match="cannot be read as text"):
        load_config(HistorySpec, tmp_path)


def test_a_file_holds_only_what_differs_from_the_one_it_extends(tmp_path):
    (tmp_path / "base.yaml").write_text("recent_events: 8\nwindows_days: [7, 30]")
    (tmp_path / "more.yaml").write_text("extends: base.yaml\nrecent_events: 16")
    loaded = load_config(HistorySpec, tmp_path / "more.yaml", ["windows_days=[30]"])
    assert loaded == HistorySpec(recent_events=16, windows_days=(30,))


def test_files_that_extend_one_another_in_a_circle_are_named(tmp_path):
    for name, parent in {"top": "a", "a": "more/b", "more/b": "../a"}.items():
        (tmp_path / f"{name}.yaml").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(f"extends: {parent}.yaml")
    with pytest.raises(ExpectedError, match=r"a\.yaml extends b\.yaml extends a\.yaml, which never ends"):
        load_config(HistorySpec, tmp_path / "top.yaml")


@pytest.mark.parametrize("override", ["recent_events", "recent_events=[", "recent_events.deep=1", "recent_events=many"])
def test_a_bad_override_is_named(tmp_path, override):
    (tmp_path / "history.yaml").write_text("recent_events: 8")
    with pytest.raises(ExpectedError, match="recent_events"):
        load_config(HistorySpec, tmp_path / "history.yaml", [override])


@pytest.mark.parametrize("days", ["[]", "[0, 30]", "[-5]", "[30, 30]", "[91, 30]"])
def test_windows_that_are_none_or_do_not_rise_are_refused(tmp_path, days):
    (tmp_path / "history.yaml").write_text(f"windows_days: {days}")
    with pytest.raises(ExpectedError, match=r"windows_days: .*one or more numbers of days above 0, rising strictly"):
        load_config(HistorySpec, tmp_path / "history.yaml")


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "01.03.2026", ""])
def test_a_wrong_date_is_a_sentence(text):
    with pytest.raises(ExpectedError, match="is not a date; write it as YYYY-MM-DD"):
        parse_date(text)
