"""Mapping a company's tables: what is read, what is refused, what ends in quarantine."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.spark.source_files import COLUMNS, row, source, write
from ulvspark.contract.config import validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import SourceConfig
from ulvspark.intake.failures import read_errors_as_expected
from ulvspark.intake.sources import map_source, read_source

CLOCK = datetime(2024, 6, 1, tzinfo=UTC)


def mapped_source(spark, folder, content):
    return map_source(spark, validate(SourceConfig, content, "shop.yaml"), str(folder), CLOCK)


def read(spark, folder, content):
    return read_source(mapped_source(spark, folder, content), "run")


def said_while_reading(spark, folder, content):
    """What a load says that fails while it reads a source."""
    mapped = mapped_source(spark, folder, content)
    with pytest.raises(ExpectedError) as caught, read_errors_as_expected(mapped.tables):
        read_source(mapped, "run")
    return str(caught.value)


def test_each_kind_of_bad_row_is_quarantined_with_its_reason(spark, tmp_path):
    bad = {
        "missing_user": row(line="a", customer=" "),
        "missing_event_time": row(line="b", time=None),
        "unparsable_event_time": row(line="c", time="yesterday"),
        "future_event_time": row(line="d", time="2024-06-01 01:00:01"),
        "unknown_event_type": row(line="e", kind="stolen"),
        "impossible_quantity": row(line="f", pieces="0"),
        "impossible_price": row(line="g", price="-1"),
        "unparsable_unit_price": row(line="h", price="3,50"),
        "other_currency": row(line="i", money="eur"),
    }
    more = [
        row(line="j", pieces=None), row(line="k", price=None), row(line="l", pieces="-1"),
        row(line="twice"), row(line="twice", price="9"),
    ]  # fmt: skip
    good = [row(), row(line="2", price="0"), row(line="3", kind=" View ", price=None, pieces=None)]
    same = [row(line="4"), row(line="4")]
    mapped = read(
        spark, write(tmp_path, [*bad.values(), *more, *good, *same]), source({**COLUMNS, "currency": "money"})
    )

    found = sorted((each.reason, json.loads(each.source_row)["line"]) for each in mapped.quarantine.collect())
    expected = [(reason, each["line"]) for reason, each in bad.items()] + [
        ("impossible_quantity", "j"), ("impossible_price", "k"), ("impossible_quantity", "l"),
        ("contradicting_duplicate", "twice"), ("contradicting_duplicate", "twice"),
    ]  # fmt: skip
    assert found == sorted(expected)
    assert (
        json.loads(mapped.quarantine.where("reason = 'unknown_event_type'").first().source_row)
        == bad["unknown_event_type"]
    )

    assert sorted(each.event_id for each in mapped.events.collect()) == ["1", "2", "3", "4"]
    outcomes = {each.outcome: each.rows for each in mapped.outcomes.where("target = 'events'").collect()}
    assert (outcomes[None], outcomes["identical_copy"], sum(outcomes.values())) == (4, 1, 19)
    view = mapped.events.where("event_id = '3'").first()
    assert (view.event_type, view.quantity, view.amount) == ("view", 1, None)
    mapped.release()


def test_values_take_their_one_form(spark, tmp_path):
    columns = {
        "user_id": "CAST(customer AS DOUBLE)", "event_time": "time", "event_type": "'purchase'", "product_id": "sku",
        "quantity": "pieces", "unit_price": "price", "discount": "'0.30'",
    }  # fmt: skip
    rows = [
        row(customer="12345678", sku=" 22.0 ", time="2024-07-01 00:30:00"),
        row(customer="7", sku="22.50", time="2024-01-01T00:30:00+02:00"),
        row(customer="8", time="2024-07-01 00:30:00+02"),
        row(customer="9", time="2024-07-01 00:30:00 UTC"),
    ]
    write(tmp_path, rows)
    early = validate(SourceConfig, source(columns), "shop.yaml")
    mapped = read_source(map_source(spark, early, str(tmp_path), datetime(2025, 1, 1, tzinfo=UTC)), "run")
    with_text = mapped.events.withColumn("event_time", mapped.events.event_time.cast("string"))
    many, seven, short, named = with_text.orderBy("user_id").collect()
    assert (many.user_id, many.product_id) == ("12345678", "22")
    assert (many.event_time, many.order_id) == ("2024-06-30 23:30:00", "12345678/2024-07-01")
    assert (many.amount, many.list_price) == (Decimal("7.0000"), Decimal("3.6500"))
    assert (seven.user_id, seven.product_id, seven.event_time) == ("7", "22.50", "2023-12-31 22:30:00")
    assert (short.event_time, named.event_time) == ("2024-06-30 22:30:00", "2024-07-01 00:30:00")
    mapped.release()


def test_ids_and_hashes_do_not_depend_on_files_or_partitions(spark, tmp_path):
    rows = [row(customer=f"u{n % 3}", price=str(n % 2)) for n in range(12)]
    columns = {name: sql for name, sql in COLUMNS.items() if name != "event_id"}
    write(tmp_path / "a", rows)
    split = source(columns)
    split["events"][0]["read"]["path"] = "parts"
    for number, part in enumerate((rows[8:], rows[3:8], rows[:3])):
        write(tmp_path / "b" / "parts", part, f"part{number}.parquet")

    def identities(mapped):
        return sorted((each.event_id, each.content_hash) for each in mapped.events.collect())

    one = identities(read(spark, tmp_path / "a", source(columns)))
    assert one == identities(read(spark, tmp_path / "b", split))
    assert len({event_id for event_id, _ in one}) == 12
    assert len({content for _, content in one}) == 6


def test_products_and_users_are_one_row_a_key(spark, tmp_path):
    rows = [
        row(sku="mug", time="2024-01-01", kind="Old mug"), row(sku="mug", time="2024-02-01", kind="Mug"),
        row(sku=None, kind="Nothing"),
    ]  # fmt: skip
    people = [
        row(customer="ann", price="40"), row(customer="ann", price="40"), row(customer="bob", price="50"),
        row(customer="bob", price="51"), row(customer=None), row(customer="cid", price=None, time="never"),
        row(customer="dan", price=None),
    ]  # fmt: skip
    write(tmp_path, [row()])
    write(tmp_path, rows, "products.csv")
    write(tmp_path, people, "users.parquet")
    products = {
        "read": {"format": "csv", "path": "products.csv"},
        "columns": {"product_id": "sku", "title": "lower(kind)"},
        "latest_by": "time",
    }
    users = {
        "read": {"format": "parquet", "path": "users.parquet"},
        "columns": {"user_id": "customer", "signup": "time", "attributes": "map('z', 'end', 'age', price)"},
    }
    mapped = read(spark, tmp_path, source(products=products, users=users))
    assert [(each.product_id, each.title) for each in mapped.products.collect()] == [("mug", "mug")]
    found = {each.user_id: each.attributes for each in mapped.users.collect()}
    assert found == {"ann": {"age": "40", "z": "end"}, "dan": {"z": "end"}}
    reasons = sorted((each.target, each.reason, each.source_table) for each in mapped.quarantine.collect())
    assert reasons == [
        ("products", "missing_product", "products.csv"),
        ("users", "contradicting_duplicate", "users.parquet"),
        ("users", "contradicting_duplicate", "users.parquet"),
        ("users", "missing_user", "users.parquet"),
        ("users", "unparsable_signup", "users.parquet"),
    ]
    mapped.release()


def test_the_latest_of_a_key_leaves_rows_without_one_alone(spark, tmp_path):
    rows = [row(line="1", price="3"), row(line="1", price="4", time="2024-01-06 12:00:00"), *[row(line=None)] * 2]
    content = source()
    content["events"][0]["latest_by"] = "time"
    mapped = read(spark, write(tmp_path, rows), content)
    found = sorted((each.unit_price, each.event_id == "1") for each in mapped.events.collect())
    assert found == [(Decimal("3.5000"), False), (Decimal("3.5000"), False), (Decimal("4.0000"), True)]
    mapped.release()


def test_several_event_tables_and_a_database(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_DATABASE", "jdbc:derby:memory:shop;create=true")
    frame = spark.createDataFrame([(9, "bob", "view")], "id INT, customer STRING, kind STRING")
    driver = "org.apache.derby.iapi.jdbc.AutoloadedDriver"
    frame.write.jdbc("jdbc:derby:memory:shop;create=true", "visits", "overwrite", {"driver": driver})
    content = source()
    content["events"].append(
        {
            "read": {"format": "jdbc", "table": "visits", "options": {"url": "${SHOP_DATABASE}", "driver": driver}},
            "columns": {
                "event_id": "concat('visit-', id)", "user_id": "CUSTOMER", "event_type": "kind",
                "event_time": "timestamp'2024-01-02 03:04:05'",
            },
            "time_zone": "UTC",
        }
    )  # fmt: skip
    mapped = read(spark, write(tmp_path, [row()]), content)
    assert sorted(each.event_id for each in mapped.events.collect()) == ["1", "visit-9"]
    content["events"][1]["read"]["table"] = "nowhere"
    with pytest.raises(ExpectedError, match="events: source table nowhere \\(jdbc\\) cannot be read"):
        read(spark, tmp_path, content)
    mapped.release()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": "custmer"}, r"events.user_id from lines.parquet: 'custmer' names `custmer`, .*customer string"),
        ({"colour": "sku"}, "events from lines.parquet: the contract has no column colour; it has event_id"),
        ({"user_id": None}, "events from lines.parquet: column user_id must be mapped"),
        ({"quantity": "array(pieces)"}, r"events.quantity .*'array\(pieces\)' is array<string>, which cannot become"),
        ({"user_id": "price > 1"}, "events.user_id .* is boolean"),
        ({"event_time": "to_timestamp(time)"}, "events.event_time .* give the mapping a time_zone"),
        ({"unit_price": "price +"}, "events.unit_price .* is not valid here"),
        (
            {"unit_price": "max(price)"},
            r"events.unit_price from lines.parquet: 'max\(price\)' calls max\(\), which takes several rows",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_is_explained(spark, tmp_path, columns, message):
    given = {name: sql for name, sql in {**COLUMNS, **columns}.items() if sql is not None}
    with pytest.raises(ExpectedError, match=message):
        read(spark, write(tmp_path, [row()]), source(given))


def test_a_missing_table_and_a_wrong_filter_are_explained(spark, tmp_path):
    write(tmp_path, [row()], "other.parquet")
    with pytest.raises(
        ExpectedError, match=r"events: source table lines.parquet .*cannot be read.*holds: other.parquet"
    ):
        read(spark, tmp_path, source())
    content = source()
    content["events"][0]["filter"] = "pieces"
    with pytest.raises(ExpectedError, match=r"events.filter .* is string, not a condition"):
        read(spark, write(tmp_path, [row()]), content)
    content["events"][0]["filter"] = "count(*) > 1"
    with pytest.raises(ExpectedError, match=r"events.filter .* calls count\(\), which takes several rows together"):
        read(spark, tmp_path, content)


def test_a_damaged_file_is_named(spark, tmp_path):
    path = write(tmp_path, [row(line=str(n)) for n in range(200)]) / "lines.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(300) + content[400:])
    said = said_while_reading(spark, tmp_path, source())
    assert re.search(r"cannot be read to its end: .*lines\.parquet", said), said


def test_rows_of_two_tables_with_one_id_are_quarantined_whole(spark, tmp_path):
    write(tmp_path, [row(line="1"), row(line="1", pieces="3", time="2024-01-07 12:00:00")])
    write(tmp_path, [row(line="1", customer="bob")], "store.parquet")
    content = source()
    content["events"][0]["latest_by"] = "time"
    content["events"].append(content["events"][0] | {"read": {"format": "parquet", "path": "store.parquet"}})
    mapped = read(spark, tmp_path, content)
    found = mapped.quarantine.select("reason", "source_row").collect()
    assert {each.reason for each in found} == {"contradicting_duplicate"}
    assert sorted(json.loads(each.source_row)["customer"] for each in found) == ["ann", "bob"]
    mapped.release()


def test_keys_of_a_map_that_are_twice_there_or_not_at_all(spark, tmp_path):
    write(tmp_path, [row(customer="ann"), row(customer="bob", sku=None)])

    def with_attributes(sql):
        users = {"read": {"format": "parquet", "path": "lines.parquet"}, "columns": {"user_id": "customer"}}
        return source(users={**users, "columns": {**users["columns"], "attributes": sql}})

    mapped = read(spark, tmp_path, with_attributes("map('age', 'old', coalesce(sku, 'age'), 'new')"))
    assert {each.user_id: each.attributes for each in mapped.users.collect()} == {
        "ann": {"age": "old", "mug": "new"}, "bob": {"age": "new"},
    }  # fmt: skip
    mapped.release()
    said = said_while_reading(spark, tmp_path, with_attributes("map(sku, 'bought')"))
    assert said.startswith("users.attributes from lines.parquet: ")
    assert said.endswith("fails on some row (NULL_MAP_KEY); use coalesce() for a key that may be null")
