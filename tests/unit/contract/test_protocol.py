"""The dates of training: rolling ones are counted back from what is known, and all of them must fit the data."""

from datetime import date, timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ulvspark.contract.config import validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.protocol import EventDays, Protocol, RollingProtocol, training_dates
from ulvspark.contract.source.source import SourceConfig

ROLLING = RollingProtocol(horizon_days=91, origin_every_days=30, origins=3)
FIXED = Protocol(
    horizon_days=91,
    training_origins=(date(2025, 3, 1), date(2025, 4, 1)),
    validation_cut=date(2025, 8, 1),
    test_cut=date(2025, 11, 1),
)
YEARS = EventDays(date(2023, 1, 1), date(2026, 3, 1))
TODAY = date(2026, 3, 2)


def source(protocol: str) -> SourceConfig:
    text = "name: shop\ncurrency: EUR\ntime_zone: UTC\nevents: [{read: {format: csv, path: a}, columns: {}}]\n"
    return validate(SourceConfig, yaml.safe_load(f"{text}{protocol}"), "shop.yaml")


def test_rolling_dates_are_the_newest_whose_windows_have_closed():
    assert ROLLING.as_of(date(2026, 3, 2)) == Protocol(
        horizon_days=91,
        training_origins=(date(2025, 4, 3), date(2025, 5, 3), date(2025, 6, 2)),
        validation_cut=date(2025, 9, 1),
        test_cut=date(2025, 12, 1),
    )


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 24), st.dates(date(2010, 1, 1), date(2190, 1, 1)))
def test_each_cut_is_the_newest_one_that_has_closed_and_all_origins_close_by_the_validation_cut(
    horizon, step, origins, day
):
    dates = RollingProtocol(horizon_days=horizon, origin_every_days=step, origins=origins).as_of(day)
    assert dates.closes(dates.test_cut) == day
    assert dates.closes(dates.validation_cut) == dates.test_cut
    assert dates.closes(max(dates.training_origins)) == dates.validation_cut
    assert dates.origins_closed_by(dates.validation_cut) == dates.training_origins
    assert len(dates.dates) == origins + 2


def test_a_week_later_the_windows_are_a_week_newer():
    week = timedelta(days=7)
    before = training_dates(ROLLING, YEARS, TODAY, None)
    after = training_dates(ROLLING, EventDays(YEARS.first, YEARS.last + week), TODAY + week, None)
    assert after.dates == tuple(day + week for day in before.dates)


@pytest.mark.parametrize(
    ("last", "today", "as_of", "closes"),
    [
        (date(2026, 3, 1), date(2026, 3, 2), None, date(2026, 3, 1)),  # more events of 1 March may still come
        (date(2026, 3, 2), date(2026, 3, 2), None, date(2026, 3, 2)),  # loaded in the night of today
        (date(2026, 3, 2), date(2026, 3, 1), None, date(2026, 3, 1)),  # not a day that is still going on
        (date(2025, 6, 1), date(2026, 3, 2), None, date(2025, 6, 1)),  # data that ended long ago
        (date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 2), date(2026, 3, 2)),  # said to be complete
        (date(2026, 3, 1), date(2026, 3, 2), date(2026, 2, 1), date(2026, 2, 1)),
    ],
)
def test_the_last_window_closes_by_the_day_until_which_all_is_known(last, today, as_of, closes):
    dates = training_dates(ROLLING, EventDays(YEARS.first, last), today, as_of)
    assert dates.closes(dates.test_cut) == closes


def test_fixed_dates_stay_what_they_are_as_long_as_their_windows_have_closed():
    for as_of in (None, date(2026, 1, 31), date(2030, 1, 1)):
        assert training_dates(FIXED, YEARS, TODAY, as_of) == FIXED
    assert training_dates(FIXED, EventDays(YEARS.first, date(2026, 1, 30)), TODAY, None) == FIXED


@pytest.mark.parametrize(
    ("protocol", "events", "as_of", "message"),
    [
        (FIXED, YEARS, date(2026, 1, 30), "91 days from 2025-11-01 reach to 2026-01-31, but --as-of is 2026-01-30"),
        (FIXED, EventDays(YEARS.first, date(2026, 1, 29)), None, "to 2026-01-31, but the data end on 2026-01-29"),
        (FIXED, EventDays(date(2025, 3, 1), YEARS.last), None, "no event before 2025-03-01, .* 1 of the 4 dates"),
        (ROLLING, YEARS, date(2026, 3, 3), "--as-of 2026-03-03: the data end on 2026-03-01, .* load newer events"),
        (ROLLING, EventDays(date(2025, 5, 3), YEARS.last), None, "the data begin on 2025-05-03, and 2 of the 5 dates"),
        (ROLLING, EventDays(YEARS.last, YEARS.last), None, "and 5 of the 5 dates to train on lie no later; .*fewer"),
        (ROLLING, YEARS, date(1970, 1, 1), "as of 1970-01-01: training_origins.0: lies outside 1970-01-01 to"),
    ],
)  # fmt: skip
def test_dates_that_do_not_fit_the_data_are_one_sentence(protocol, events, as_of, message):
    with pytest.raises(ExpectedError, match=message):
        training_dates(protocol, events, TODAY, as_of)


def test_a_source_gives_fixed_dates_rolling_ones_or_none():
    assert source("").protocol is None
    assert source("protocol:").protocol is None
    assert source("protocol: {horizon_days: 91, origin_every_days: 30, origins: 3}").protocol == ROLLING
    fixed = source(
        "protocol: {horizon_days: 91, training_origins: [2025-03-01, 2025-04-01], validation_cut: 2025-08-01, "
        "test_cut: 2025-11-01}"
    )
    assert fixed.protocol == FIXED


FIXED_TEXT = "horizon_days: {0}, training_origins: [{1}], validation_cut: {2}, test_cut: {3}"


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("horizon_days: 91, origins: 3", r"protocol\.\(rolling dates\)\.origin_every_days: Field required"),
        ("horizon_days: 91, origins: 3, origin_every_days: 30, test_cut: 2025-01-01", r"test_cut: unknown key"),
        ("horizon_days: 91, test_cut: 2025-01-01", r"protocol\.\(fixed dates\)\.training_origins: Field required"),
        ("horizon_days: 1000000000, origins: 3, origin_every_days: 30", "horizon_days: Input should be less"),
        ("horizon_days: 91, origins: 1000000000, origin_every_days: 30", "origins: Input should be less"),
        ("horizon_days: 91, origins: 3, origin_every_days: 0", "origin_every_days: Input should be greater"),
        (FIXED_TEXT.format(10**9, "2025-01-01", "2025-06-01", "2025-12-01"), "horizon_days: Input should be less"),
        (FIXED_TEXT.format(91, "0001-01-01", "2025-06-01", "2025-12-01"), "training_origins.0: lies outside 1970"),
        (FIXED_TEXT.format(91, "2025-01-01", "2025-06-01", "9999-12-31"), "test_cut: lies outside 1970"),
        (FIXED_TEXT.format(91, "2025-01-01", "2025-06-01", "20251201"), "test_cut: is not a date; write it as"),
        (FIXED_TEXT.format(91, "2025-01-01", "2025-12-01", "2025-12-31"), "validation_cut must close by test_cut"),
        (FIXED_TEXT.format(91, "2025-05-01", "2025-06-01", "2025-12-31"), "no training origin's label window closes"),
    ],
)  # fmt: skip
def test_mistakes_in_a_protocol_are_named(protocol, message):
    with pytest.raises(ExpectedError, match=message):
        source(f"protocol: {{{protocol}}}")
    with pytest.raises(ExpectedError, match="valid dictionary"):
        source("protocol: 3")


def test_dates_in_words():
    assert str(FIXED) == (
        "training origins 2025-03-01, 2025-04-01; validation cut 2025-08-01; test cut 2025-11-01; 91 days ahead of each"
    )
