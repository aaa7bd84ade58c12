"""Configuration files: whatever is wrong with one is said in a sentence that names it."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from ulvspark.contract.config import load_config
from ulvspark.contract.dates import parse_date, parse_time
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import HistorySpec
from ulvspark.simulation.config import SimulationConfig

CONF = Path(__file__).parents[3] / "conf"


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


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ("[]", "windows_days: .*one or more numbers of days, rising strictly"),
        ("[30, 30]", "windows_days: .*one or more numbers of days, rising strictly"),
        ("[91, 30]", "windows_days: .*one or more numbers of days, rising strictly"),
        ("[0, 30]", r"windows_days\.0: Input should be greater than or equal to 1"),
        ("[30, 40000]", r"windows_days\.1: Input should be less than or equal to 36500"),
    ],
)
def test_windows_that_are_none_or_do_not_rise_are_refused(tmp_path, days, message):
    (tmp_path / "history.yaml").write_text(f"windows_days: {days}")
    with pytest.raises(ExpectedError, match=message):
        load_config(HistorySpec, tmp_path / "history.yaml")


NUMBER = r"recent_events: a number beyond 10\^15"
DEEP = "nested more than 50 deep"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"recent_events: 1{'0' * 30}", NUMBER),
        (f"recent_events: -1{'0' * 30}", NUMBER),
        (f"recent_events: '1{'0' * 30}'", NUMBER),
        (f"recent_events: 1{'0' * 5000}", "not valid YAML: .*4300 digits"),
        (f"recent_events: 0x{'f' * 9000}", NUMBER),
        ("recent_events: 1.0e+30", NUMBER),
        ("recent_events: .inf", "recent_events: inf, which is no finite number"),
        ("recent_events: .nan", "recent_events: nan, which is no finite number"),
        (f"windows_days: [7, 1{'0' * 30}]", r"windows_days\.1: a number beyond"),
        (f"recent_events: {'[' * 1000}{']' * 1000}\n", DEEP),
        (f"recent_events: {'[' * 100}{']' * 100}", DEEP),
        (f"recent_events: {'{a: ' * 100}1{'}' * 100}", DEEP),
        ("recent_events: &a [*a]", DEEP),
        ("recent_events: &a [*a, *a]", DEEP),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"{below}: &{below} [{', '.join([f'*{above}'] * 10)}]\n" for above, below in pairwise("abcdefgh")
        ), "more than 100,000 values"),
        ("recent_events: !!timestamp soon", "not valid YAML"),
        ("recent_events: !!bool perhaps", "not valid YAML"),
        ("recent_events: !!int ''", "not valid YAML"),
    ],
    ids=range(18),
)  # fmt: skip
def test_what_no_code_can_compute_with_is_one_sentence(tmp_path, content, message):
    path = tmp_path / "history.yaml"
    path.write_text(content)
    with pytest.raises(ExpectedError, match=message) as in_file:
        load_config(HistorySpec, path)
    assert len(str(in_file.value)) < 400
    path.write_text("recent_events: 8")
    if "\n" not in content:
        with pytest.raises(ExpectedError, match=message):
            load_config(HistorySpec, path, [content.replace(": ", "=", 1)])
    assert load_config(HistorySpec, path).recent_events == 8


@pytest.mark.parametrize("seed", ["-1", "2147483648"])
def test_a_seed_is_one_that_every_generator_takes(seed):
    with pytest.raises(ExpectedError, match="seed: Input should be"):
        load_config(SimulationConfig, CONF / "simulation.yaml", [f"seed={seed}"])


@pytest.mark.parametrize("start", ["1969-12-31", "2200-01-01", "20260301", "'20260301x'", "2026-03-01 12:00:00"])
def test_a_date_in_a_file_is_one_that_can_be_computed_with(start):
    with pytest.raises(ExpectedError, match=r"start: (lies outside 1970-01-01 to 2199-12-31|is not a date; write it)"):
        load_config(SimulationConfig, CONF / "simulation.yaml", [f"start={start}"])


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31", "2200-01-01", "9999-12-31"])
def test_a_date_that_cannot_be_computed_with_is_a_sentence(text):
    with pytest.raises(ExpectedError, match=f"'{text}' lies outside 1970-01-01 to 2199-12-31; correct the date"):
        parse_date(text)


@pytest.mark.parametrize(
    ("text", "message"), [("noon", "is not a time"), ("0001-01-01", "outside 1970"), ("9999-12-31T12:00", "outside")]
)
def test_a_wrong_time_is_a_sentence(text, message):
    with pytest.raises(ExpectedError, match=message):
        parse_time(text)
    assert parse_time("2026-01-31T00:00:00") == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "01.03.2026", ""])
def test_a_wrong_date_is_a_sentence(text):
    with pytest.raises(ExpectedError, match="is not a date; write it as YYYY-MM-DD"):
        parse_date(text)
