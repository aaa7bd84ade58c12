"""Behaviour as of a date: exact numbers, nothing from the future, no dependence on partitioning."""

import random
from datetime import date

import numpy as np
import pytest
from pyspark.sql import functions as F

from tests.spark import made
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import HistorySpec
from ulvspark.history import behaviour
from ulvspark.history.population import QUANTILE_PROBABILITIES

AS_OF = date(2020, 6, 1)
"""Its midnight in London is 23:00 UTC on 31 May."""
SPEC = HistorySpec(recent_events=4)
ANN = [
    {"event_time": "2020-01-01T10:00", "order_id": "o1", "product_id": "mug", "quantity": "2", "list_price": "5",
     "amount": "8.00", "price_relation": "below"},
    {"event_time": "2020-01-01T10:00", "order_id": "o1", "product_id": "heart", "amount": "3.10",
     "price_relation": "at", "price_level": "dear"},
    {"event_time": "2020-01-11T10:00", "event_type": "view", "product_id": "mug", "quantity": None, "amount": None},
    # In London this is half past midnight of 1 April.
    {"event_time": "2020-03-31T23:30", "order_id": "o2", "product_id": "mug", "list_price": "5", "amount": "5"},
    {"event_time": "2020-04-05T10:00", "event_type": "return", "order_id": "o3", "product_id": "heart",
     "amount": "3.10"},
    {"event_time": "2020-05-31T22:59:59", "order_id": "o4", "product_id": "delisted", "amount": "4",
     "price_relation": "below"},
]  # fmt: skip
OTHERS = [
    {"user_id": "ben", "event_id": "b1", "event_time": "2020-05-02T10:00", "order_id": "o9", "product_id": "mug"},
    {"user_id": "cyd", "event_id": "c1", "event_time": "2020-05-02T10:00", "event_type": "search", "text": "a mug"},
]
ROWS = [{"user_id": "ann", "event_id": f"a{n}"} | row for n, row in enumerate(ANN)] + OTHERS
TITLES = {"mug": "red mug", "heart": "white heart"}
USERS = [
    ("ann", date(2019, 12, 31), "GB", {"age": "30-39", "income": None, "country": "shadowed"}),
    ("ben", AS_OF, None, {"zeal": "high", "age": "40-49"}),
    ("eve", date(2020, 1, 1), "GB", None),
]


def build(spark, rows=ROWS, titles=TITLES, users=USERS, spec=SPEC):
    tables = made.events(spark, rows), made.products(spark, titles), made.users(spark, users)
    return made.by_user(behaviour.build(*tables, AS_OF, spec, "Europe/London"))


@pytest.fixture(scope="module")
def built(spark):
    return build(spark)


def test_numbers_by_hand(built):
    expected = {
        "net_spend_30d": 4.0, "net_spend_91d": 5.9, "net_spend_183d": 17.0, "net_spend_365d": 17.0, "net_spend": 17.0,
        "order_value": 6.7, "recency_days": 1, "tenure_days": 152, "signup_days": 153, "orders": 3, "orders_30d": 1,
        "orders_91d": 2, "orders_183d": 3, "orders_365d": 3, "active_days": 5, "gap_mean_days": 75.5,
        "gap_std_days": 15.5, "products": 3, "categories": 1, "items": 5, "view_events": 1, "click_events": 0,
        "cart_events": 0, "search_events": 0, "review_events": 0, "return_share": 3.1 / 20.1,
        "discount_share": 2 / 15, "below_reference_share": 12 / 15.1,
    }  # fmt: skip
    assert {name: built["ann"][name] for name in SPEC.numbers} == pytest.approx(expected, rel=1e-14)


def test_what_is_not_known_is_null(built):
    unknown = {name for name in SPEC.numbers if built["cyd"][name] is None}
    assert unknown == {
        "order_value", "recency_days", "signup_days", "gap_mean_days", "gap_std_days", "return_share",
        "discount_share", "below_reference_share",
    }  # fmt: skip
    assert built["ben"]["signup_days"] is None, "signing up on the date is the future"
    assert all(built["eve"][name] is None for name in ("history", "history_hash", *SPEC.numbers))
    assert {user: row["eligible"] for user, row in built.items()} == {
        "ann": True, "ben": True, "cyd": False, "eve": False,
    }  # fmt: skip


def test_recent_events_newest_first_without_platform_ids(built):
    history = built["ann"]["history"]
    fields = [(e["event_type"], e["order_id"], e["gap_days"], e["quantity"], e["title"]) for e in history["events"]]
    assert fields == [
        ("purchase", "0", 56, 1.0, None),
        ("return", "1", 4, 1.0, "white heart"),
        ("purchase", "2", 81, 1.0, "red mug"),
        ("view", None, 10, None, "red mug"),
    ]
    assert history["profile"] == {"country": "GB", "age": "30-39"}
    assert built["ben"]["history"]["profile"] == {"age": "40-49", "zeal": "high"}
    [search] = built["cyd"]["history"]["events"]
    assert (search["text"], search["gap_days"], built["cyd"]["history"]["profile"]) == ("a mug", None, None)


def test_the_future_changes_no_row(spark, built):
    future = [
        {"user_id": "ann", "event_id": "f1", "event_time": "2020-05-31T23:00", "order_id": "o1", "amount": "100"},
        {"user_id": "ben", "event_id": "f2", "event_time": "2020-06-20T10:00", "event_type": "return"},
        {"user_id": "eve", "event_id": "f3", "event_time": "2020-06-01T10:00"},
        {"user_id": "new", "event_id": "f4", "event_time": "2020-06-01T10:00"},
    ]
    later = build(spark, ROWS + future, users=[*USERS, ("fay", date(2020, 7, 1), None, None)])
    assert later.pop("fay")["history"] is None
    assert later == built, "and who is only known from the future has no row"


def test_neither_file_order_nor_partitions_show(spark):
    rng = random.Random(1)
    rows = [
        {"user_id": f"u{n % 3}", "event_id": f"{rng.random()}", "event_time": f"2020-01-0{1 + n % 2}T10:00",
         "order_id": f"o{n % 7}", "product_id": rng.choice(["mug", "heart", None]), "amount": f"{rng.random():.4f}",
         "list_price": f"{rng.random() + 0.5:.4f}", "quantity": f"{rng.randint(1, 9)}"}
        for n in range(120)
    ]  # fmt: skip
    tables = made.products(spark, TITLES), made.users(spark, USERS)
    shuffled = made.events(spark, rng.sample(rows, len(rows)))
    frames = made.events(spark, rows).coalesce(1), shuffled.repartition(7), shuffled.repartition(3, "amount")
    first, *others = [made.by_user(behaviour.build(each, *tables, AS_OF, SPEC, "Europe/London")) for each in frames]
    assert len(first["u0"]["history"]["events"]) == 4
    assert others == [first, first], "hashes and sums, bit by bit"


def test_only_whose_history_changed_gets_another_hash(spark, built):
    def changed(rebuilt):
        return {user for user in built if rebuilt[user]["history_hash"] != built[user]["history_hash"]}

    late = {"user_id": "ben", "event_id": "late", "event_time": "2020-02-01T10:00", "event_type": "view"}
    assert changed(build(spark, [*ROWS, late])) == {"ben"}
    assert changed(build(spark, titles=TITLES | {"mug": "blue mug", "unseen": "vase"})) == {"ann", "ben"}


def test_timelines_say_what_events_say(spark):
    future = {"user_id": "ann", "event_id": "f1", "event_time": "2020-05-31T23:00", "order_id": "o1", "amount": "100"}
    nobody_yet = {"user_id": "new", "event_id": "f2", "event_time": "2020-06-01T10:00"}
    events, products = made.events(spark, [*ROWS, future, nobody_yet]), made.products(spark, TITLES)
    users = made.users(spark, [*USERS, ("fay", None, None, None)])
    # Unit `event` reads no profile.
    nameless = users.withColumns({name: F.lit(None) for name in ("country", "attributes")})
    in_words = made.by_user(behaviour.build(events, products, nameless, AS_OF, SPEC, "Europe/London"))
    kept = behaviour.timelines(events, users, "Europe/London")
    found = made.by_user(behaviour.build_from_timelines(kept, products, AS_OF, SPEC))
    assert found.keys() == in_words.keys() == {"ann", "ben", "cyd", "eve", "fay"}
    for user, row in found.items():
        history = in_words[user].pop("history")
        own = [each["text_key"] for each in history["events"] if each["text_key"]] if history else None
        assert (row.pop("text_keys") or None, row.pop("sequence") is None) == (own or None, history is None)
        assert row == in_words[user]


def test_a_subset_gets_the_same_rows(spark, built):
    some = [row for row in ROWS if row["user_id"] != "ben"]
    assert build(spark, some, users=[USERS[0], USERS[2]]) == {user: built[user] for user in ("ann", "cyd", "eve")}


def test_a_user_with_very_many_events_keeps_the_last_ones(spark):
    many = spark.range(50_000).select(
        F.lit("bot").alias("user_id"),
        F.format_string("%06d", "id").alias("event_id"),
        F.timestamp_seconds(1_580_000_000 + F.col("id") * 60).alias("event_time"),
        F.lit("view").alias("event_type"),
        F.concat(F.lit("p"), F.col("id")).alias("product_id"),
    )
    events = made.events(spark, ROWS).unionByName(many, allowMissingColumns=True)
    tables = made.products(spark, {"p49999": "newest", "p49998": "second"}), made.users(spark, USERS)
    bot = made.by_user(behaviour.build(events, *tables, AS_OF, SPEC, "Europe/London"))["bot"]
    assert bot["view_events"] == 50_000
    assert [(e["title"], e["gap_days"]) for e in bot["history"]["events"]] == [
        ("newest", 0), ("second", 0), (None, 0), (None, 0),
    ]  # fmt: skip


def test_the_population_is_exact(spark, monkeypatch):
    rng = random.Random(2)
    rows = [
        {"user_id": f"u{n % 37}", "event_id": str(n), "event_time": "2020-05-01T10:00", "order_id": str(n),
         "event_type": rng.choice(["purchase", "purchase", "return", "view"]), "amount": f"{rng.random() * 50:.2f}"}
        for n in range(150)
    ]  # fmt: skip
    tables = made.events(spark, rows), made.products(spark, TITLES), made.users(spark, USERS)
    frame = behaviour.build(*tables, AS_OF, SPEC, "Europe/London")
    measured = behaviour.measure_population(frame.repartition(5), SPEC)
    numbers = frame.where("history IS NOT NULL").toPandas()

    assert (measured.as_of, measured.users) == (AS_OF, 37)
    assert measured.platform_scale == numbers.loc[numbers["net_spend"] > 0, "order_value"].median()
    assert set(measured.quantiles) == set(SPEC.money_numbers)
    for name, quantiles in measured.quantiles.items():
        np.testing.assert_allclose(quantiles, np.quantile(numbers[name].dropna(), QUANTILE_PROBABILITIES), rtol=1e-12)

    monkeypatch.setattr(behaviour, "POPULATION_SAMPLE", 20)
    some, again = (behaviour.measure_population(each, SPEC) for each in (frame, frame.repartition(3)))
    assert (some.users, some.platform_scale) == (37, again.platform_scale), "the same users, wherever they are"
    for name, quantiles in some.quantiles.items():
        assert quantiles.tolist() == again.quantiles[name].tolist()
        assert set(quantiles[[0, -1]]) <= set(numbers[name]), "of some users, exactly"
    assert any(some.quantiles[name].tolist() != measured.quantiles[name].tolist() for name in some.quantiles)


def test_the_sample_of_a_growing_platform_stays_nearly_the_same(spark):
    users = spark.range(1000).select(F.col("id").cast("string").alias("user_id"))
    samples = (behaviour.hash_sample(users, number, limit=100) for number in (1000, 1010))
    tonight, tomorrow = ({row.user_id for row in sample.collect()} for sample in samples)
    assert 70 < len(tonight) < 130
    assert tomorrow <= tonight
    assert len(tonight - tomorrow) < 5
    assert behaviour.hash_sample(users, 90, limit=100).count() == 1000, "of few users all are taken"


def test_a_platform_that_sold_nothing_has_no_scale(spark):
    tables = made.events(spark, [OTHERS[1]]), made.products(spark, TITLES), made.users(spark, USERS)
    with pytest.raises(ExpectedError, match="none of the 1 users with events before 2020-06-01 has positive net spend"):
        behaviour.measure_population(behaviour.build(*tables, AS_OF, SPEC, "Europe/London"), SPEC)
