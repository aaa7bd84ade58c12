"""Values as companies write them: ids of many forms, words for nothing, totals without prices, odd times and types."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.spark.source_files import COLUMNS, row, source, write
from ulvspark.contract.config import validate
from ulvspark.contract.source.source import SourceConfig
from ulvspark.contract.source.values import MISSING_WORDS
from ulvspark.intake.judging.alike_ids import COUNTED_AT_MOST, Alike, alike_ids
from ulvspark.intake.judging.outcomes import by_source_table, together
from ulvspark.intake.sources import map_source, read_source

CLOCK = datetime(2024, 6, 1, tzinfo=UTC)
MORE = {"order_id": "basket", "amount": "total", "list_price": "list", "text": "words"}
EVENTS = {**COLUMNS, **MORE}


def line(number, **changes):
    """A purchase of two mugs, 7.00 in all, as text; ``number`` is its event_id."""
    return row(line=str(number)) | dict.fromkeys(MORE.values()) | changes


class Loaded:
    """What a source gives: events by their ids, the reasons of quarantine by line, and the outcome of events."""

    def __init__(self, spark, folder, content):
        config = validate(SourceConfig, content, "shop.yaml")
        mapped = read_source(map_source(spark, config, str(folder), CLOCK), "run")
        self.events = {each.event_id: each for each in mapped.events.collect()}
        bad = mapped.quarantine.collect()
        self.reasons = {
            str(json.loads(each.source_row)["line"]): each.reason for each in bad if each.target == "events"
        }
        self.user_reasons = {json.loads(each.source_row)["line"]: each.reason for each in bad if each.target == "users"}
        self.outcomes = by_source_table(mapped.outcomes.collect(), config.source_tables)
        self.outcome = together(self.outcomes, "events")
        mapped.release()


MISSING = [*MISSING_WORDS, "NULL", "null", "NaN", "None", "nan", "\\N", "N/A", "\t", "\u00a0", "\u200b", "\ufeff \r\n"]
ENDS = ["\t", "\r", "\n", "\u00a0", "\u200b", "\ufeff", "\u2028", "\x00", " \u3000"]

IDS = [
    *(line(f"missing{n}", customer=word) for n, word in enumerate(MISSING)),
    *(line(f"ends{n}", customer=f"{each}1001{each}", sku=f"{each}9{each}") for n, each in enumerate(ENDS)),
    line("inner", customer="a\u00a0b", sku="null", basket="N/A"),
    line("whole", customer="1001.00", sku="22.50"),
    line("printed", customer="9.007199254740992E15"),
    line("infinite", customer="Infinity"),
    line("damaged", customer="M\ufffdller"),
    line("damaged_sku", sku="\ufffd"),
    line("damaged_text", words="caf\ufffd"),
    line("Upper", customer="ANN", sku="É"),
]
AMOUNTS = [
    line("largest", price="100000000", pieces="1"),
    line("larger", price="100000000.01", pieces="1"),
    line("beyond", price="99999999999999.9999", total="99999999999999.9999", pieces="1"),
    line("overflow", price="1e18"),
    line("product", price="90000", pieces="50000"),
    line("list", list="90000000000", pieces="50000000", price="0"),
    line("pieces", pieces="200000000", price="0"),
    line("tiny", price="0.00002"),
    line("short", price="0.02094"),
    line("kept", price="0.0209"),
    line("thirds", price="3.333333333"),
    line("no list", list="NULL"),
    line("word", price="n/a"),
]
TOTALS = [
    line("total", pieces=None, price=None, total="7.50"),
    line("total of one", pieces="1", price=None, total="7.50"),
    line("total of three", pieces="3", price=None, total="10"),
    line("total of many", pieces="1000", price=None, total="0.07"),
    line("returned total", kind="return", pieces=None, price=None, total="7.50"),
    line("total of none", pieces="0", price=None, total="7.50"),
    line("negative total", pieces=None, price=None, total="-1"),
    line("price alone", pieces=None),
    line("view of a price", kind="view", pieces=None, total="3"),
]
TIMES = [
    line("first", time="1970-01-01 01:00:00"),
    line("before", time="1969-12-31 12:00:00"),
    line("year 0", time="0000-01-01"),
    line("year -1", time="-0001-01-01"),
    line("year 1", time="0001-01-01 00:00:00"),
    line("far", time="294247-01-10T04:00:54Z"),
    line("no time", time="\\N"),
    *(line(text, time=text) for text in ("2024", "2024-01", "12:30:00Z", "T12:30", "2024-13-01")),
    line("a day", time="2024-01-31"),
    line("an instant", time="2024-01-31T10:00:00.5+02:00"),
]
TYPES = {
    "Order": "purchase", "order_completed": "purchase", "orders/create": "purchase", "transaction": "purchase",
    "refund": "return", "add_to_cart": "cart", "Product Added": "cart", "AddToCart": "cart", "view_item": "view",
    "ViewContent": "view", "search_submitted": "search", "select_item": "click", "REVIEW": "review",
}  # fmt: skip


@pytest.fixture(scope="module")
def loaded(spark, tmp_path_factory):
    """All of the above in one load."""
    types = [line(name, kind=name) for name in TYPES] + [line("unknown", kind="stolen")]
    folder = write(tmp_path_factory.mktemp("values"), [*IDS, *AMOUNTS, *TOTALS, *TIMES, *types])
    return Loaded(spark, folder, source(EVENTS))


def test_words_and_white_space_are_no_user(loaded):
    assert {loaded.reasons.get(f"missing{n}") for n, _ in enumerate(MISSING)} == {"missing_user"}
    inner = loaded.events["inner"]
    assert (inner.user_id, inner.product_id, inner.order_id) == ("a\u00a0b", None, "a\u00a0b/2024-01-05")


def test_what_surrounds_an_id_is_no_part_of_it(loaded):
    assert {loaded.events[f"ends{n}"].user_id for n, _ in enumerate(ENDS)} == {"1001"}
    assert {loaded.events[f"ends{n}"].product_id for n, _ in enumerate(ENDS)} == {"9"}
    assert (loaded.events["whole"].user_id, loaded.events["whole"].product_id) == ("1001", "22.50")


def test_ids_that_were_doubles_or_damaged_are_quarantined(loaded):
    found = {name: loaded.reasons.get(name) for name in ("printed", "infinite", "damaged", "damaged_sku")}
    assert found == {
        "printed": "inexact_user_id", "infinite": "inexact_user_id", "damaged": "damaged_user_id",
        "damaged_sku": "damaged_product_id",
    }  # fmt: skip


def test_amounts_that_are_too_large_are_no_impossible_prices(loaded):
    large = ("larger", "beyond", "overflow", "product", "list", "pieces")
    assert {name: loaded.reasons.get(name) for name in large} == dict.fromkeys(large, "amount_too_large")
    assert loaded.events["largest"].amount == Decimal(100_000_000)
    assert (loaded.events["no list"].list_price, loaded.reasons["word"]) == (None, "impossible_price")


def test_lost_digits_are_noted(loaded):
    prices = {name: str(loaded.events[name].unit_price) for name in ("tiny", "short", "kept", "thirds")}
    assert prices == {"tiny": "0.0000", "short": "0.0209", "kept": "0.0209", "thirds": "3.3333"}
    notes = loaded.outcome.notes
    assert notes["lost_precision_unit_price"] == 3, "tiny, short, total of many"
    assert (notes["damaged_text"], notes["variable_product_id"]) == (1, 1)
    assert "made_event_id" not in notes


def test_a_total_alone_is_a_purchase(loaded):
    def money(name):
        event = loaded.events[name]
        return tuple(str(each) for each in (event.quantity, event.unit_price, event.amount))

    assert money("total") == money("total of one") == money("returned total") == ("1.0000", "7.5000", "7.5000")
    assert money("total of three") == ("3.0000", "3.3333", "10.0000"), "the total stays as it is"
    assert money("total of many") == ("1000.0000", "0.0001", "0.0700")
    assert money("view of a price") == ("1.0000", "3.5000", "3.0000")
    odd = ("total of none", "negative total", "price alone")
    assert [loaded.reasons.get(name) for name in odd] == [
        "impossible_quantity", "impossible_price", "impossible_quantity",
    ]  # fmt: skip


def test_times_are_plausible_and_whole(loaded):
    implausible = ("before", "year 0", "year 1")
    assert {loaded.reasons.get(name) for name in implausible} == {"implausible_event_time"}
    unparsable = ("year -1", "far", "2024", "2024-01", "12:30:00Z", "T12:30", "2024-13-01")
    assert {name: loaded.reasons.get(name) for name in unparsable} == dict.fromkeys(unparsable, "unparsable_event_time")
    assert loaded.reasons["no time"] == "missing_event_time"
    assert {"first", "a day", "an instant"} <= loaded.events.keys()


def test_event_types_go_by_many_names(loaded):
    assert {name: loaded.events[name].event_type for name in TYPES} == TYPES
    assert loaded.reasons["unknown"] == "unknown_event_type"


def test_numbers_as_ids(spark, tmp_path):
    doubles = {"fine": 9007199254740991.0, "first": 9007199254740993.0, "big": 1e19, "inf": float("inf"), "nan": None}
    frame = spark.createDataFrame(
        [(name, value, float("nan") if value is None else 1.5) for name, value in doubles.items()],
        "line STRING, customer DOUBLE, price DOUBLE",
    )
    typed = frame.selectExpr(
        "line", "coalesce(customer, double('NaN')) AS customer", "float(if(line = 'big', 16777217, 7)) AS sku",
        "bigint(9007199254740993) AS basket", "timestamp_ntz'2024-01-05 12:00:00' AS time", "price",
        "float('NaN') AS list",
    )  # fmt: skip
    typed.write.parquet(str(tmp_path / "lines.parquet"))
    columns = {
        "event_id": "line", "user_id": "customer", "product_id": "if(line = 'big', null, sku)", "order_id": "basket",
        "event_time": "time", "event_type": "'purchase'", "unit_price": "price", "list_price": "list",
    }  # fmt: skip
    content = source(columns)
    loaded = Loaded(spark, tmp_path, content)
    assert loaded.reasons == {
        "first": "inexact_user_id", "big": "inexact_user_id", "inf": "inexact_user_id", "nan": "missing_user",
    }  # fmt: skip
    fine = loaded.events["fine"]
    assert (fine.user_id, fine.product_id, fine.order_id) == ("9007199254740991", "7", "9007199254740993")
    assert (fine.quantity, fine.amount, fine.list_price) == (1, Decimal("1.5"), None), "no quantities are mapped"

    content["events"][0]["columns"] = columns | {"user_id": "basket", "product_id": "sku", "order_id": "customer"}
    floats = Loaded(spark, tmp_path, content)
    assert floats.reasons == {
        "first": "inexact_order_id", "inf": "inexact_order_id", "big": "inexact_product_id",
        "nan": "impossible_price",
    }  # fmt: skip


def test_an_expression_that_fails_is_not_a_missing_value(spark, tmp_path):
    rows = [
        line("1", time="05.01.2024", price="3.50"),
        line("2", time="2024-01-05", price="3.50"),
        line("3", time="NULL", price="3.50"),
        line("4", time="05.01.2024", price="3,50"),
        line("5", time="05.01.2024", price="3,50", kind="view"),
        line("6", time="05.01.2024", price=None),
        line("7", time="05.01.2024", price="3.50", customer="guest"),
        line("8", time="05.01.2024", price="3.50", kind="2"),
        line("9", time="05.01.2024", price="3.50", pieces="two", total="7"),
        line("10", time="05.01.2024", price="3,50", pieces="0"),
    ]
    columns = EVENTS | {
        "event_time": "to_timestamp_ntz(time, 'dd.MM.yyyy')", "unit_price": "cast(price AS DECIMAL(10, 2))",
        "user_id": "nullif(customer, 'guest')", "event_type": "kind", "quantity": "cast(pieces AS INT)",
    }  # fmt: skip
    content = source(columns)
    content["events"][0]["values"] = {"event_type": {2: "cart"}}
    loaded = Loaded(spark, write(tmp_path, rows), content)
    assert loaded.reasons == {
        "2": "unparsable_event_time", "3": "missing_event_time", "4": "unparsable_unit_price", "6": "impossible_price",
        "7": "missing_user", "9": "unparsable_quantity", "10": "impossible_quantity",
    }  # fmt: skip
    assert {name: event.event_type for name, event in loaded.events.items()} == {
        "1": "purchase", "5": "view", "8": "cart",
    }  # fmt: skip


def test_ids_in_one_form_where_the_yaml_says_so(spark, tmp_path):
    rows = [
        line("a", customer="Ren\u00c9"), line("b", customer="rene\u0301"), line("c", customer="\uff52\uff45n\u00e9"),
        line("d", customer="nobody"), line("e", customer="0", time="1999-12-31"),
    ]  # fmt: skip
    people = [
        row(line="1", customer="Ren\u00c9", time="1970-01-01"), row(line="2", customer="b", time="9999-12-31"),
        row(line="3", customer="c", time="1969-12-31"), row(line="4", customer="d", time="2024"),
        row(line="5", customer="e", time=None),
    ]  # fmt: skip
    write(tmp_path, rows)
    write(tmp_path, people, "people.parquet")
    users = {
        "read": {"format": "parquet", "path": "people.parquet"},
        "columns": {"user_id": "customer", "signup": "time"},
    }
    content = source(
        {name: sql for name, sql in EVENTS.items() if name != "event_id"},
        users=users,
        ids={"case": "lower", "unicode": "NFKC"},
        missing_words=["Nobody", 0],
    )
    loaded = Loaded(spark, tmp_path, content)
    assert {each.user_id for each in loaded.events.values()} == {"ren\u00e9"}
    assert loaded.reasons == {"d": "missing_user", "e": "missing_user"}
    assert loaded.user_reasons == {"2": "implausible_signup", "3": "implausible_signup", "4": "unparsable_signup"}
    assert loaded.outcome.notes["made_event_id"] == 3
    assert loaded.outcomes[1].rows == 5


def test_ids_that_differ_by_case_or_form_are_counted(spark):
    ids = ["Ann", "ann", "ANN", "Ren\u00e9", "rene\u0301", "10", "\uff11\uff10", "a-b", "a_b", "bob", "bob", "Rene"]
    frame = spark.createDataFrame([(each,) for each in ids], "user_id STRING")
    assert alike_ids(frame, len(ids)) == Alike(ids=7, things=3)
    # Of a larger table a sample is taken, with all that are not ASCII.
    many = spark.range(20_000).selectExpr("explode(array(concat('u', id), concat('U', id))) AS user_id")
    sampled = alike_ids(many, 10 * COUNTED_AT_MOST)
    assert 32_000 < sampled.ids < 48_000
    assert sampled.ids == 2 * sampled.things
