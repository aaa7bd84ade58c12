"""Prices in words: from strictly earlier days, whatever the order of the rows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.intake.price_stamps import MINIMUM_PRICES, PRICE_STAMPS, price_sums, stamp

MAPPED = [column for column in schema.EVENTS.columns if column.name not in PRICE_STAMPS]
DDL = ", ".join(f"{column.name} {column.type}" for column in MAPPED)
START = datetime(2024, 1, 1, 12, tzinfo=UTC)


def event(name, day, price, product="mug", kind="purchase", list_price=None):
    time = START + timedelta(days=day)
    money = [None if each is None else Decimal(str(each)) for each in (price, list_price)]
    return (name, "ann", "o", time, kind, product, Decimal(1), *money, money[0], None, hash(name), START)


@pytest.fixture
def stamps(spark):
    products = spark.createDataFrame(
        [("mug", "mug", "kitchen > mugs", None, None, 0), ("cup", "cup", "kitchen > cups", None, None, 0)],
        schema.PRODUCTS.ddl,
    )
    no_prices = spark.createDataFrame([], schema.PRICE_DAYS.ddl)

    def run(events, parts=1):
        frame = spark.createDataFrame(events, DDL).repartition(parts)
        rows = stamp(frame, price_sums(frame, F.lit(1)), None, no_prices, products).collect()
        return {each.event_id: tuple(each[name] for name in PRICE_STAMPS) for each in rows}

    return run


def test_the_reference_is_the_list_price_or_what_was_paid_on_earlier_days(stamps):
    found = stamps(
        [
            event("first", 0, 4),
            event("same day", 0, 8),
            event("gift", 0, 0),
            event("cheaper", 1, 5.7),
            event("little cheaper", 1, 5.71),
            event("dearer", 1, 6.3),
            event("seen", 2, 6, kind="view"),
            event("back", 2, 6, kind="return"),
            event("listed", 3, 9, list_price=10),
            event("unlisted", 3, 9, list_price=0, product="bowl"),
            event("no product", 3, 9, product=None),
        ]
    )
    assert {name: (reference, relation) for name, (reference, relation, _) in found.items()} == {
        "first": (None, None),
        "same day": (None, None),
        "gift": (None, None),
        "cheaper": (Decimal("6.0000"), "below"),
        "little cheaper": (Decimal("6.0000"), "at"),
        "dearer": (Decimal("6.0000"), "above"),
        "seen": (Decimal("5.9420"), "at"),
        "back": (Decimal("5.9420"), "at"),
        "listed": (Decimal("10.0000"), "below"),
        "unlisted": (None, None),
        "no product": (None, None),
    }


def test_the_level_compares_with_earlier_prices_of_the_category(stamps):
    prices = [5, 10, 20] * (MINIMUM_PRICES // 3)
    before = [event(f"b{n}", 0, price, product=("mug", "cup")[n % 2]) for n, price in enumerate(prices)]
    later = [event(f"at {price}", 1, price) for price in (1, 7.2, 10, 13.9, 90)]
    others = [event("elsewhere", 1, 10, product="spade"), event("too early", 0, 10), event("free", 1, 0)]
    once = stamps(before + later + others)
    level = {name: words[2] for name, words in once.items()}
    assert [level[f"at {price}"] for price in (1, 7.2, 10, 13.9, 90)] == list(schema.PRICE_LEVELS)
    assert (level["elsewhere"], level["too early"], level["free"]) == (None, None, None)
    assert stamps((before + later + others)[::-1], parts=5) == once
    assert stamps(before[1:] + later)["at 10"][2] is None, "one earlier price fewer than the minimum"
