"""Numbers and last events of whole users, against the same counted user by user in plain Python."""

import json
import math
import statistics
from dataclasses import replace
from datetime import date
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ulvspark.contract.schema import CODED, EVENT_TYPES, PRICE_RELATIONS
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.numbers import numbers
from ulvspark.history.packing import pack, parts, unpack
from ulvspark.history.recent_events import hashes, histories, recent_events, records, sequences, text_keys
from ulvspark.history.summaries import Catalogue
from ulvspark.history.timelines import UNKNOWN, Timelines, day_number, newest_first, whole_users
from ulvspark.model.network.event_arrays import Events

AS_OF = date(2020, 6, 1)
TODAY = day_number(AS_OF)
SPEC = HistorySpec(windows_days=(30, 365), recent_events=3)
PURCHASE, RETURN = EVENT_TYPES.index("purchase"), EVENT_TYPES.index("return")
SCHEMA = pa.schema(
    {
        "user_id": pa.string(), "day": pa.int32(), "event_type": pa.int8(), "price_relation": pa.int8(),
        "price_level": pa.int8(), "order": pa.int64(), "product": pa.int64(), "top_category": pa.int64(),
        "quantity": pa.int64(), "amount": pa.int64(), "list_value": pa.int64(), "product_key": pa.int64(),
        "text_key": pa.int64(), "known": pa.bool_(), "signup": pa.int32(), "profile_key": pa.int64(),
        "profile": pa.string(),
    }
)  # fmt: skip


def few(largest: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(0, largest)


EVENT = st.fixed_dictionaries(
    {
        "event_type": st.integers(0, len(EVENT_TYPES) - 1), "day": st.integers(TODAY - 400, TODAY - 1),
        "order": few(3), "product": few(3), "top_category": few(2), "quantity": few(50_000), "amount": few(90_000),
        "list_value": few(90_000), "price_relation": few(2), "price_level": few(4), "product_key": few(9),
        "text_key": few(9),
    }
)  # fmt: skip
USERS = st.lists(st.tuples(st.booleans(), st.lists(EVENT, max_size=8)), min_size=1, max_size=5)


def rows(users) -> pa.RecordBatch:
    """As ``newest_first`` gives them; a user without a profile and without an event is not there."""
    found = []
    for name, (has_profile, events) in zip("abcde", users, strict=False):
        profile = json.dumps({"country": name})
        found += [
            {"known": True, "signup": TODAY - 10, "profile_key": 7, "profile": profile, "user_id": name}
        ] * has_profile
        newest_first = sorted(events, key=lambda event: -event["day"])
        found += [event | {"user_id": name} for event in newest_first]
    return pa.RecordBatch.from_pylist(found, SCHEMA)


def counted(events, has_profile: bool) -> dict[str, float]:
    """Some of the numbers of one user, newest event first."""
    bought = [each for each in events if each["event_type"] == PURCHASE]
    returned = [each for each in events if each["event_type"] == RETURN]
    days = sorted({each["day"] for each in bought})
    gaps = [late - early for early, late in pairwise(days)]
    recent = [each for each in bought if each["day"] >= TODAY - 30]
    paid, back = money(bought, "amount"), money(returned, "amount")
    listed = [each for each in bought if each["list_value"] is not None and each["amount"] is not None]
    list_value = money(listed, "list_value")
    return {
        "net_spend": paid - back,
        "net_spend_30d": money(recent, "amount") - money([e for e in returned if e["day"] >= TODAY - 30], "amount"),
        "items": money(bought, "quantity"),
        "orders": len({each["order"] for each in bought}),
        "orders_30d": len({each["order"] for each in recent}),
        "order_value": paid / len({each["order"] for each in bought}) if bought else math.nan,
        "products": len({each["product"] for each in bought} - {None}),
        "categories": len({each["top_category"] for each in bought} - {None}),
        "active_days": len({each["day"] for each in events}),
        "recency_days": TODAY - days[-1] if days else math.nan,
        "tenure_days": TODAY - events[-1]["day"],
        "signup_days": 10 if has_profile else math.nan,
        "gap_mean_days": statistics.mean(gaps) if gaps else math.nan,
        "gap_std_days": statistics.pstdev(gaps) if len(gaps) > 1 else math.nan,
        "below_reference_share": share_below(bought),
        "view_events": len([each for each in events if each["event_type"] == EVENT_TYPES.index("view")]),
        "return_share": min(back / paid, 1) if paid else math.nan,
        "discount_share": min(max(1 - money(listed, "amount") / list_value, 0), 1) if list_value else math.nan,
    }


def share_below(bought) -> float:
    known = [each for each in bought if each["price_relation"] is not None]
    below = [each for each in known if PRICE_RELATIONS[each["price_relation"]] == "below"]
    return money(below, "amount") / money(known, "amount") if money(known, "amount") else math.nan


def money(events, name: str) -> float:
    return sum(each[name] or 0 for each in events) / 10_000


def by_user(batch: pa.RecordBatch) -> list[tuple[bool, list[dict]]]:
    users = [list(each) for _, each in groupby(batch.to_pylist(), key=lambda row: row["user_id"])]
    return [(each[0]["event_type"] is None, [row for row in each if row["event_type"] is not None]) for each in users]


@given(USERS)
def test_numbers_are_those_of_each_user_alone(users):
    batch = rows(users)
    assume(len(batch))
    found = numbers(Timelines.from_rows(batch), SPEC, AS_OF)
    assert found.keys() == set(SPEC.numbers)
    for place, (has_profile, events) in enumerate(by_user(batch)):
        if not events:
            assert all(np.isnan(values[place]) for values in found.values())
            continue
        for name, value in counted(events, has_profile).items():
            assert found[name][place] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name


@given(USERS)
def test_recent_events_are_those_of_each_user_alone(users):
    batch = rows(users)
    assume(len(batch))
    read = recent_events(Timelines.from_rows(batch), SPEC.recent_events)
    as_histories, hashed = histories(read).to_pylist(maps_as_pydicts="strict"), hashes(records(read), read).to_pylist()
    for history, digest, (has_profile, events) in zip(as_histories, hashed, by_user(batch), strict=True):
        assert (history is None) == (digest is None) == (not events)
        if events:
            assert history["profile"] == ({"country": events[0]["user_id"]} if has_profile else None)
            newest = events[: SPEC.recent_events]
            assert [EVENT_TYPES.index(event["event_type"]) for event in history["events"]] == [
                event["event_type"] for event in newest
            ]
            days = [*(event["day"] for event in events), None]
            gaps = [late - early if early is not None else None for late, early in pairwise(days)]
            assert [event["gap_days"] for event in history["events"]] == gaps[: SPEC.recent_events]
            orders = list(dict.fromkeys(event["order"] for event in newest if event["order"] is not None))
            ordinals = [None if event["order"] is None else str(orders.index(event["order"])) for event in newest]
            assert [event["order_id"] for event in history["events"]] == ordinals
            for read, event in zip(history["events"], newest, strict=True):
                assert (read["product_key"], read["text_key"]) == (event["product_key"], event["text_key"])
                assert read["quantity"] == (None if event["quantity"] is None else event["quantity"] / 10_000)
                for name, words in CODED.items():
                    assert read[name] == (None if event[name] is None else words[event[name]])


A_LIFE = [
    {"event_type": 2, "day": TODAY - 1, "order": 5, "product_key": 1},
    {"event_type": 0, "day": TODAY - 9, "order": 5, "product_key": 1, "quantity": 10_000, "price_relation": 1},
]


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": 3}, {"day": TODAY - 8}, {"order": None}, {"product_key": 2}, {"product_key": None},
        {"quantity": 0}, {"quantity": 10**17}, {"text_key": 1}, {"price_relation": 1}, {"price_level": 1},
    ],
)  # fmt: skip
def test_the_hash_is_of_all_that_is_read(change):
    newest, oldest = A_LIFE
    assert digest(newest | change, oldest) != digest(newest, oldest)


def test_the_hash_is_of_the_profile_and_not_of_ids():
    newest, oldest = A_LIFE
    known, other, nobody = (digest(newest, oldest, profile_key=key) for key in (7, 8, None))
    assert len({known, other, nobody}) == 3
    assert digest(newest | {"order": 8}, oldest | {"order": 8}) == known, "ids of orders do not count"


def digest(*events, profile_key: int | None = 7) -> str:
    batch = rows([(True, list(events))])
    place = batch.schema.get_field_index("profile_key")
    batch = batch.set_column(place, SCHEMA.field(place), pa.array([profile_key] + [None] * len(events), pa.int64()))
    read = recent_events(Timelines.from_rows(batch), 3)
    return hashes(records(read), read)[0].as_py()


@given(USERS)
def test_records_say_what_words_say(users):
    batch = rows(users)
    assume(len(batch) > 0)
    read = recent_events(Timelines.from_rows(batch), SPEC.recent_events)
    as_histories, packed = histories(read), sequences(records(read), read.starts)
    assert as_histories.is_valid().equals(packed.is_valid())
    in_words = dict(vars(Events.from_lists(pc.struct_field(as_histories, "events").drop_null())))
    in_records = dict(vars(Events.from_sequences(packed.drop_null())))
    codes = in_records.pop("codes"), in_words.pop("codes")
    for found, expected in (codes, (in_records, in_words)):
        assert found.keys() == expected.keys()
        for name, values in found.items():
            np.testing.assert_array_equal(values, expected[name], err_msg=name)
    events = [[] if one is None else one["events"] for one in as_histories.to_pylist()]
    assert text_keys(read).to_pylist() == [
        [each["text_key"] for each in one if each["text_key"] is not None] for one in events
    ]


@given(USERS, st.integers(TODAY - 400, TODAY))
def test_what_was_packed_is_what_was_done(users, day):
    batch = rows(users)
    assume(len(batch) > 0)
    timelines, unpacked = Timelines.from_rows(batch), unpack(pack(Timelines.from_rows(batch)))
    assert unpacked.users.column("known").to_pylist() == [
        each or False for each in timelines.users.column("known").to_pylist()
    ]
    looked_up = {name: timelines.events[name] for name in ("top_category", "product_key")}
    unpacked = replace(unpacked, events=unpacked.events | looked_up)
    for name, values in numbers(unpacked, SPEC, AS_OF).items():
        np.testing.assert_array_equal(values, numbers(timelines, SPEC, AS_OF)[name], err_msg=name)
    np.testing.assert_array_equal(records(recent_events(unpacked, 3)), records(recent_events(timelines, 3)))

    earlier = rows([(known, [each for each in events if each["day"] < day]) for known, events in users])
    before = unpacked.before(day)
    assert before.lengths.tolist() == [len([e for e in events if e["day"] < day]) for _, events in by_user(batch)]
    if len(earlier):
        np.testing.assert_array_equal(before.events["amount"], Timelines.from_rows(earlier).events["amount"])


@given(USERS, st.integers(1, 6))
def test_very_active_users_are_unpacked_a_few_at_a_time(users, events):
    batch = rows(users)
    assume(len(batch) > 0)
    packed = pack(Timelines.from_rows(batch))
    pieces = list(parts(packed, events))
    assert pa.concat_batches(pieces).equals(packed)
    assert all(len(piece) == 1 or unpack(piece.slice(1)).size <= events for piece in pieces)
    assert len(pieces) <= 1 + unpack(packed).size // events


PRODUCTS = pa.table({"product": [30, 10, 20], "product_key": [3, None, 2], "top_category": [7, 8, None]})


@pytest.mark.parametrize("products", [PRODUCTS, PRODUCTS.slice(0, 0)])
def test_products_are_looked_up_by_their_hashes(products):
    known = Catalogue.from_table(products.cast(pa.schema(dict.fromkeys(products.schema.names, pa.int64()))))
    found = known.look_up(np.array([20, 40, 30, UNKNOWN, 10, 30]))
    if not len(products):
        assert all((values == UNKNOWN).all() for values in found.values())
        return
    assert found["product_key"].tolist() == [2, UNKNOWN, 3, UNKNOWN, UNKNOWN, 3]
    assert found["top_category"].tolist() == [UNKNOWN, UNKNOWN, 7, UNKNOWN, 8, 7]


HASHES = {name: number // 2 for number, name in enumerate("abcde")}
"""a and b share one, and c and d."""


@given(USERS, st.integers(1, 9), st.integers(1, 5))
def test_batches_end_where_users_end(users, at_least, size):
    batch = rows(users)
    batch = batch.append_column("user_hash", pa.array([HASHES[each.as_py()] for each in batch.column("user_id")]))
    pieces = [batch.slice(start, size) for start in range(0, len(batch), size)]
    found = list(whole_users(iter(pieces), at_least))
    assert [row for each in found for row in each.to_pylist()] == batch.to_pylist()
    seen = [set(each.column("user_hash").to_pylist()) for each in found]
    assert sum(map(len, seen)) == len(set().union(*seen)), "no user is in two"
    assert all(len(each) >= at_least for each in found[:-1])


TIMES = st.tuples(st.sampled_from("ab"), st.none() | st.tuples(st.integers(0, 3), st.text("01", min_size=1)))


@given(st.lists(TIMES, min_size=1, unique=True))
def test_rows_are_ordered_by_user_then_newest_first(found):
    batch = pa.RecordBatch.from_pylist(
        [
            {"user_id": user, "user_hash": 1, "event_time": when and when[0], "event_id": when and when[1], "row": row}
            for row, (user, when) in enumerate(found)
        ],
        pa.schema({"user_id": pa.string(), "user_hash": pa.int64(), "event_time": pa.int64(), "event_id": pa.string(),
                   "row": pa.int64()}),
    )  # fmt: skip
    first = [user for user, _ in found].index

    def profile_then_newest(row: int):
        user, when = found[row]
        return first(user), when is None, *(when or ())

    users = sorted(range(len(found)), key=lambda row: profile_then_newest(row)[1:], reverse=True)
    expected = sorted(users, key=lambda row: profile_then_newest(row)[0])
    assert newest_first(batch).column("row").to_pylist() == expected
