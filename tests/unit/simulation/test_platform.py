"""A simulated platform in memory: the same whatever the blocks, the end, and what is switched on; sound as a source."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ulvspark.contract.assignment import positions
from ulvspark.simulation import truth
from ulvspark.simulation.block import block, numbers
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.platform import simulate_platform
from ulvspark.simulation.users.offers import NO_EXPOSURES
from ulvspark.simulation.users.people import number_of_users

CONFIG = SimulationConfig(users=400, products=300, days=300, joining_days=300)
DELIVERIES = {"late": 0.2, "corrected": 0.2, "deleted": 0.1}
OFFER = {"name": "ten", "salt": "s1", "holdout": 0.3, "first_day": date(2023, 8, 1), "every_days": 400, "buying": 5.0,
         "order_value": 0.5, "leaving": 0.1, "lasts_days": 60, "helped": 0.5, "lost": 0.2}  # fmt: skip


def changed(**settings: object) -> SimulationConfig:
    return SimulationConfig.model_validate(CONFIG.model_dump() | settings)


def events_of(config: SimulationConfig, end: int, size: int = 1000) -> pa.Table:
    blocks = [block(config, ids, NO_EXPOSURES, end) for ids in numbers(number_of_users(config, end), size)]
    return pa.concat_tables(each.events() for each in blocks).sort_by("event_id")


def before(events: pd.DataFrame, day: date) -> pd.DataFrame:
    early = events[events.event_time < pd.Timestamp(day, tz="UTC")]
    return early.sort_values("event_id").reset_index(drop=True)


@pytest.fixture(scope="module")
def platform():
    return simulate_platform(CONFIG)


@pytest.fixture(scope="module")
def events(platform):
    return platform.events.to_pandas()


def test_the_size_of_blocks_changes_no_bit():
    assert events_of(CONFIG, 300, size=37).equals(events_of(CONFIG, 300, size=400))


def test_another_seed_is_another_platform(events):
    other = simulate_platform(changed(seed=8)).events.to_pandas()
    assert len(other) != len(events) or not other.equals(events)


def test_more_days_change_nothing_that_was_there(events):
    longer = simulate_platform(changed(days=450)).events.to_pandas()
    cut = CONFIG.end - timedelta(days=15)
    # Reviews of the last days are not there yet when the shorter one ends.
    pd.testing.assert_frame_equal(before(longer, cut), before(events, cut))
    assert longer.user_id.nunique() > events.user_id.nunique(), "users go on joining"


def test_what_is_switched_on_from_a_day_changes_nothing_before_it(events):
    day = date(2023, 8, 1)
    drift = [
        {"what": what, "since": day, "strength": strength}
        for what, strength in {"prices": 0.3, "catalogue": 0.5, "country": 0.5, "season": 0.5, "hazard": 3.0,
                               "taste": 0.5, "half_load": 0.5, "mapping": 1.0}.items()
    ]  # fmt: skip
    other = simulate_platform(changed(drift=drift, offers=[OFFER])).events.to_pandas()
    pd.testing.assert_frame_equal(before(other, day), before(events, day))


def test_days_added_one_by_one_come_to_the_same_as_all_at_once():
    config = changed(deliveries=DELIVERIES)
    ids = np.arange(CONFIG.users)
    rows = block(config, ids, NO_EXPOSURES, 280).events().to_pandas().set_index("event_id")
    for end in range(281, 300):
        added = block(config, ids, NO_EXPOSURES, end, since=end - 1)
        corrected = added.corrected_since(end - 1).to_pandas().set_index("event_id").unit_price
        assert set(corrected.index) <= set(rows.index)
        rows.loc[corrected.index, "unit_price"] = corrected
        rows = rows.drop(added.deleted_since(end - 1).column("event_id").to_pylist())
        rows = pd.concat([rows, added.delivered_since(end - 1).to_pandas().set_index("event_id")])
    at_once = block(config, ids, NO_EXPOSURES, 299).events().to_pandas().set_index("event_id")
    pd.testing.assert_frame_equal(rows.sort_index(), at_once.sort_index())


def test_deliveries_are_late_wrong_and_withdrawn_as_often_as_wanted():
    everything = block(changed(deliveries=DELIVERIES), np.arange(CONFIG.users), NO_EXPOSURES, 300).log
    late = everything.delivered - everything.second // 86_400
    bought = everything.step == 4
    assert np.mean(late > 0) == pytest.approx(0.2, abs=0.02)
    assert late.max() == 7
    assert np.mean(everything.corrected[bought] >= 0) == pytest.approx(0.2, abs=0.03)
    assert np.mean(everything.deleted < 10**6) == pytest.approx(0.1, abs=0.02)


def test_the_log_is_a_sound_source(platform, events):
    assert events.event_id.is_unique
    assert events.event_time.between("2023-01-01", "2023-10-28", inclusive="left").all()
    assert set(events.event_type) == {"purchase", "return", "view", "click", "cart", "search", "review"}
    assert (events.unit_price.dropna() <= events.list_price.dropna()).all()
    products = platform.products.to_pandas().set_index("product_id")
    assert set(events.product_id.dropna()) <= set(products.index)
    appears = pd.to_datetime(events.product_id.map(products.appears_on)).dt.tz_localize("UTC")
    assert (appears.isna() | (appears <= events.event_time)).all()
    signup = pd.to_datetime(events.user_id.map(platform.users.to_pandas().set_index("user_id").signup))
    assert (signup.dt.tz_localize("UTC") <= events.event_time).all()
    assert events[events.event_type == "review"].rating.between(1, 5).all()


def test_kinds_of_users_do_what_they_are_called(platform, events):
    known = platform.truth_users.to_pandas().set_index("user_id")
    kind = events.user_id.map(known.kind)
    assert not (kind == "sign_up_only").any()
    bought = events[events.event_type == "purchase"]
    assert (bought.event_time.dt.date >= bought.user_id.map(known.buys_from)).all()
    browsers = known[known.kind == "browser"].index
    assert 0.3 < np.mean(~browsers.isin(bought.user_id)) < 1
    assert set(browsers) & set(bought.user_id), "some browsers buy at last"


def test_nobody_comes_after_having_left(platform, events):
    left = pd.to_datetime(events.user_id.map(platform.truth_users.to_pandas().set_index("user_id").left_on))
    came = events[~events.event_type.isin(["return", "review"])]
    assert (came.event_time.dt.tz_localize(None) < left[came.index]).all()


def test_a_third_of_the_users_lack_attributes(platform):
    users = simulate_platform(changed(users=3000, days=60, joining_days=60)).users.to_pandas()
    lacking = users[["country", "age_band", "channel", "loyalty"]].isna().any(axis=1)
    assert lacking.mean() == pytest.approx(1 / 3, abs=0.03)


def test_texts_tell_the_mood(platform, events):
    known = platform.truth_users.to_pandas().set_index("user_id").words
    said = events[events.event_type.isin(["search", "review"])]
    period = (said.event_time.dt.tz_localize(None) - pd.Timestamp(CONFIG.start)).dt.days // 28
    mood = pd.Series([known[user][at] for user, at in zip(said.user_id, period, strict=True)], said.index)
    for good, bad in (("^luxury|^designer|^premium", "^cheap|^discount|^budget"), ("love|perfect gift", "broke|never")):
        contrast = mood[said.text.str.contains(good)].mean() - mood[said.text.str.contains(bad)].mean()
        assert contrast > 1


def test_distinct_texts_grow_with_users():
    distinct = {
        users: simulate_platform(changed(users=users, products=2000)).events.to_pandas().text.nunique()
        for users in (2000, 6000)
    }
    assert 0.1 < (distinct[6000] - distinct[2000]) / 4000 < 0.4


def test_offers_reach_those_who_are_treated_and_do_what_they_say():
    config = changed(users=3000, joining_days=100, offers=[OFFER])
    told = simulate_platform(config)
    plain = simulate_platform(changed(users=3000, joining_days=100))
    effects = told.truth_offers.to_pandas().set_index("user_id")
    shares = effects.response.value_counts(normalize=True)
    assert shares[["helped", "lost"]].tolist() == pytest.approx([0.5, 0.2], abs=0.03)
    window = [pd.Timestamp(date(2023, 8, 2) + timedelta(days=days), tz="UTC") for days in (0, 60)]
    orders = {}
    for name, each in {"told": told, "plain": plain}.items():
        events = each.events.to_pandas()
        bought = events[(events.event_type == "purchase") & events.event_time.between(*window, inclusive="left")]
        orders[name] = bought.groupby("user_id").size().reindex(effects.index).fillna(0)
    treated = pd.Series(positions("s1", effects.index) >= 0.3, effects.index)
    gained = orders["told"] - orders["plain"]
    assert (gained[~treated] == 0).all()
    assert gained[treated & (effects.response == "helped")].mean() > 0.2
    assert gained[treated & (effects.response == "lost")].mean() < 0
    assert (gained[treated & (effects.response == "unmoved")] == 0).all()


def test_a_changed_hazard_makes_users_leave_from_its_day_on():
    drift = [{"what": "hazard", "since": date(2023, 6, 1), "strength": 5.0}]
    left = {
        name: pd.to_datetime(simulate_platform(config).truth_users.to_pandas().left_on)
        for name, config in {"drift": changed(drift=drift), "plain": CONFIG}.items()
    }
    early = left["plain"] < "2023-06-01"
    assert (left["drift"][early] == left["plain"][early]).all()
    assert (left["drift"][~early] < "2023-10-28").mean() > 2 * (left["plain"][~early] < "2023-10-28").mean()


def test_drifts_show_where_they_say():
    day = date(2023, 7, 1)

    def drifted(what: str, strength: float) -> pd.DataFrame:
        config = changed(drift=[{"what": what, "since": day, "strength": strength}])
        everything = simulate_platform(config).events.to_pandas()
        return everything[everything.event_time >= pd.Timestamp(day, tz="UTC")]

    plain = drifted("season", 0.0).set_index("event_id")
    risen = drifted("prices", 0.3).set_index("event_id")
    both = plain.join(risen, how="inner", rsuffix="_risen").dropna(subset="list_price")
    same = both[both.product_id == both.product_id_risen]
    assert (same.list_price_risen / same.list_price).median() == pytest.approx(1.3, abs=0.01)
    assert len(drifted("half_load", 0.5)) == pytest.approx(len(plain) / 2, rel=0.1)
    assert "purchase" not in set(drifted("mapping", 1.0).event_type)
    new = drifted("catalogue", 0.6).product_id.dropna().str[1:].astype(int) >= 300
    assert new.mean() == pytest.approx(0.6, abs=0.05)


def test_new_users_come_from_another_country_from_its_day_on():
    drift = [{"what": "country", "since": date(2023, 6, 1), "strength": 0.5}]
    users = simulate_platform(changed(users=2000, drift=drift)).users.to_pandas()
    late = users[pd.to_datetime(users.signup) >= "2023-06-01"].country.dropna()
    assert (late == "Portugal").mean() == pytest.approx(0.5, abs=0.06)
    assert not (users[pd.to_datetime(users.signup) < "2023-06-01"].country == "Portugal").any()


def test_the_truth_of_drifts_is_a_row_each():
    drift = [{"what": "prices", "since": date(2023, 7, 1), "strength": 0.3}]
    assert truth.drift_truth(changed(drift=drift)).to_pylist() == drift
