"""One row a user from made-up events, without Spark."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ulvspark.contract.schema import EVENT_TYPES
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.packing import pack
from ulvspark.history.recent_events import RECORD
from ulvspark.history.summaries import ROWS, Catalogue, summarise_rows, summarise_timelines
from ulvspark.history.timelines import Timelines, day_number, newest_first

AS_OF = date(2020, 6, 1)
TODAY = day_number(AS_OF)
SPEC = HistorySpec(windows_days=(30,), recent_events=2)
MUG, HEART = 10, 20
PRODUCTS = {MUG: {"product_key": 1, "top_category": 5}, HEART: {"product_key": 2, "top_category": 5}}


def event(user: str, days_before: int, kind: str, product: int | None = None, **fields) -> dict:
    day = TODAY - days_before
    return {
        "user_id": user, "event_id": f"{user}{days_before}", "event_time": day * 86_400_000_000, "day": day,
        "event_type": EVENT_TYPES.index(kind), "product": product, **PRODUCTS.get(product, {}), **fields,
    }  # fmt: skip


EVENTS = [
    event("ann", 90, "purchase", MUG, order=7, quantity=20_000, amount=80_000, list_value=100_000, title="red mug"),
    event("ann", 10, "purchase", HEART, order=8, quantity=10_000, amount=50_000),
    event("ann", 9, "return", HEART, order=8, quantity=10_000, amount=50_000),
    event("ben", 3, "search", text="a mug", text_key=9),
]
USERS = [
    {"user_id": "ann", "known": True, "signup": TODAY - 100, "profile": '{"age": "30"}', "profile_key": 4},
    {"user_id": "eve", "known": True},
]


def rows(*found: dict) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(found), ROWS)


def by_user(summary: pa.RecordBatch) -> dict[str, dict]:
    return {row["user_id"]: row for row in summary.to_pylist(maps_as_pydicts="strict")}


def test_numbers_and_recent_events_by_hand():
    users = by_user(summarise_rows(rows(*USERS, *EVENTS), AS_OF, SPEC))
    ann, ben, eve = (users[name] for name in ("ann", "ben", "eve"))
    expected = {
        "net_spend": 8.0, "net_spend_30d": 0.0, "order_value": 6.5, "orders": 2, "orders_30d": 1, "items": 3.0,
        "recency_days": 10, "tenure_days": 90, "signup_days": 100, "gap_mean_days": 80, "products": 2,
        "categories": 1, "return_share": 5 / 13, "discount_share": 0.2, "below_reference_share": None,
    }  # fmt: skip
    assert {name: ann[name] for name in expected} == pytest.approx(expected)
    assert [(each["event_type"], each["order_id"], each["gap_days"]) for each in ann["history"]["events"]] == [
        ("return", "0", 1), ("purchase", "0", 80),
    ]  # fmt: skip
    assert ann["history"]["profile"] == {"age": "30"}
    assert (ann["eligible"], ben["eligible"], eve["eligible"]) == (True, False, False)
    assert ben["history"]["events"][0]["text"] == "a mug"
    assert all(eve[name] is None for name in ("history", "history_hash", *SPEC.numbers))


def test_the_order_of_rows_changes_nothing():
    shuffled = rows(*EVENTS[::-1], *USERS)
    assert by_user(summarise_rows(shuffled, AS_OF, SPEC)) == by_user(summarise_rows(rows(*USERS, *EVENTS), AS_OF, SPEC))


def test_packed_timelines_give_the_same_and_see_no_future():
    nobody_yet, tomorrow = event("new", -1, "view", MUG), event("ann", -1, "purchase", MUG, amount=1)
    packed = pack(Timelines.from_rows(newest_first(rows(*USERS, *EVENTS, nobody_yet, tomorrow))))
    products = pa.table(
        {"product": list(PRODUCTS)} | {name: [each[name] for each in PRODUCTS.values()] for name in PRODUCTS[MUG]}
    )
    found = by_user(summarise_timelines(packed, Catalogue.from_table(products), AS_OF, SPEC))
    # Timelines hold no profile.
    users = [{name: user.get(name) for name in ("user_id", "known", "signup")} for user in USERS]
    in_words = by_user(summarise_rows(rows(*users, *EVENTS), AS_OF, SPEC))
    assert found.keys() == {"ann", "ben", "eve"}
    for user, row in found.items():
        sequence, text_keys, history = row.pop("sequence"), row.pop("text_keys"), in_words[user].pop("history")
        assert row == in_words[user]
        assert len(np.frombuffer(sequence or b"", RECORD)) == len(history["events"] if history else ())
        assert text_keys == ([9] if user == "ben" else [])


@pytest.mark.parametrize(("number", "ten_thousandths"), [(11, 999_999_999_999_999_999), (1_100, 9_000_000_000_000_000)])
@pytest.mark.parametrize("column", ["quantity", "amount", "list_value"])
def test_a_user_whose_sums_cannot_be_right_has_no_numbers(column, number, ten_thousandths):
    one = event("rich", 5, "purchase", MUG, order=1, **{"quantity": 10_000, "amount": 1, column: ten_thousandths})
    given = rows(*USERS, *EVENTS, *[one | {"event_id": str(n)} for n in range(number)])
    catalogue = Catalogue.from_table(pa.table({"product": [MUG], "product_key": [1], "top_category": [5]}))
    packed = pack(Timelines.from_rows(newest_first(given)))
    alone = by_user(summarise_rows(rows(*USERS, *EVENTS), AS_OF, SPEC))
    from_rows = by_user(summarise_rows(given, AS_OF, SPEC))
    for users in (from_rows, by_user(summarise_timelines(packed, catalogue, AS_OF, SPEC))):
        rich = users["rich"]
        assert (rich["exact"], rich["eligible"], users["ann"]["exact"]) == (False, False, True)
        assert {value for name, value in rich.items() if name not in {"user_id", "exact", "eligible"}} == {None}
    assert {name: from_rows[name] for name in alone} == alone


def test_the_rows_of_a_made_up_user_hold_every_column_that_is_summarised():
    summary = summarise_rows(rows(*USERS, *EVENTS), AS_OF, SPEC)
    assert summary.schema.names == ["user_id", "eligible", "exact", "history", "history_hash", *SPEC.numbers]
    assert pc.sum(summary.column("orders")).as_py() == 2
