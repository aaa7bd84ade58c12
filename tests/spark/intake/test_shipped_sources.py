"""The shipped mappings of well-known exports and data sets, on made rows with the real columns."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd

from ulvspark.contract.config import load_config
from ulvspark.contract.source.source import SourceConfig
from ulvspark.intake.sources import map_source, read_source

SOURCES = Path(__file__).parents[3] / "conf/sources"

SHOPIFY = """Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,
Shipping,Taxes,Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,
Lineitem price,Lineitem compare at price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,
Lineitem fulfillment status,Billing Name,Billing Street,Billing Address1,Billing Address2,Billing Company,Billing City,
Billing Zip,Billing Province,Billing Country,Billing Phone,Shipping Name,Shipping Street,Shipping Address1,
Shipping Address2,Shipping Company,Shipping City,Shipping Zip,Shipping Province,Shipping Country,Shipping Phone,Notes,
Note Attributes,Cancelled at,Payment Method,Payment Reference,Refunded Amount,Vendor,Outstanding Balance,Employee,
Location,Device ID,Id,Tags,Risk Level,Source,Lineitem discount,Tax 1 Name,Tax 1 Value,Tax 2 Name,Tax 2 Value,Tax 3 Name,
Tax 3 Value,Tax 4 Name,Tax 4 Value,Tax 5 Name,Tax 5 Value,Phone,Receipt Number,Duties,Billing Province Name,
Shipping Province Name,Payment ID,Payment Terms Name,Next Payment Due At,Payment References""".replace("\n", "")
GA4_ITEM = (
    "item_id STRING, item_name STRING, item_brand STRING, item_variant STRING, item_category STRING, "
    "item_category2 STRING, price_in_usd DOUBLE, price DOUBLE, quantity BIGINT, item_revenue_in_usd DOUBLE, "
    "item_revenue DOUBLE, coupon STRING, item_list_name STRING"
)
GA4 = (
    "event_date STRING, event_timestamp BIGINT, event_name STRING, event_params ARRAY<STRUCT<key STRING, "
    "value STRUCT<string_value STRING, int_value BIGINT, float_value DOUBLE, double_value DOUBLE>>>, user_id STRING, "
    "user_pseudo_id STRING, user_first_touch_timestamp BIGINT, device STRUCT<category STRING, language STRING>, "
    "geo STRUCT<country STRING, city STRING>, traffic_source STRUCT<name STRING, medium STRING, source STRING>, "
    "stream_id STRING, platform STRING, ecommerce STRUCT<total_item_quantity BIGINT, purchase_revenue DOUBLE, "
    f"refund_value DOUBLE, transaction_id STRING>, items ARRAY<STRUCT<{GA4_ITEM}>>"
)


def load(spark, name, folder):
    """Events as dictionaries, then products and users by their ids, then reasons of quarantine."""
    config = load_config(SourceConfig, SOURCES / f"{name}.yaml")
    mapped = read_source(map_source(spark, config, str(folder), datetime(2026, 1, 1, tzinfo=UTC)), "run")
    time = mapped.events.event_time.cast("string")
    events = [each.asDict() for each in mapped.events.withColumn("event_time", time).collect()]
    products = {each.product_id: each for each in mapped.products.collect()}
    users = {each.user_id: each for each in mapped.users.collect()}
    reasons = sorted(f"{each.target}: {each.reason}" for each in mapped.quarantine.collect())
    mapped.release()
    return events, products, users, reasons


def column(events, *names):
    return sorted(tuple(event[name] for name in names) for event in events)


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)


def test_a_shopify_order_export(spark, tmp_path):
    def line(name, email, at, item, sku, quantity, price, discount="0.00", **order):
        return {
            "Name": name, "Email": email, "Created at": at, "Lineitem name": item, "Lineitem sku": sku,
            "Lineitem quantity": quantity, "Lineitem price": price, "Lineitem discount": discount, "Vendor": "Acme",
            **{key.replace("_", " "): value for key, value in order.items()},
        }  # fmt: skip

    may = "2024-05-01 21:30:00 -0400"
    paid = {"Financial_Status": "paid", "Currency": "USD", "Billing_Country": "US", "Accepts_Marketing": "yes"}
    first = line("#1001", "Ann@example.com", may, "Crew Tee - Black / S", "TEE", "2", "10.00", "4.00", **paid,
                 Subtotal="21.00", Total="26.00", Refunded_Amount="26.00", Notes='two\nlines, "quoted"')  # fmt: skip
    second = line("#1001", "Ann@example.com", may, "Mug", "", "1", "5.00")
    voided = line("#1002", "bob@example.com", "2024-05-02 09:00:00 -0400", "Mug", "", "1", "5.00", **paid,
                  Subtotal="5.00", Refunded_Amount="0.00", Cancelled_at="2024-05-03 09:00:00 -0400")  # fmt: skip
    voided["Financial Status"] = "voided"
    counter = line("#1003", "", may, "Mug", "", "1", "5.00", **paid)
    write_csv(tmp_path / "orders/may.csv", SHOPIFY.split(","), [first, second, voided, counter])
    events, products, users, reasons = load(spark, "shopify", tmp_path)
    assert column(events, "user_id", "order_id", "event_time", "event_type", "quantity", "unit_price") == [
        ("ann@example.com", "#1001", "2024-05-02 01:30:00", "purchase", 1, Decimal("5.0000")),
        ("ann@example.com", "#1001", "2024-05-02 01:30:00", "purchase", 2, Decimal("8.0000")),
        ("ann@example.com", "#1001", "2024-05-02 01:30:00", "return", 1, Decimal("21.0000")),
        ("bob@example.com", "#1002", "2024-05-02 13:00:00", "purchase", 1, Decimal("5.0000")),
        ("bob@example.com", "#1002", "2024-05-03 13:00:00", "return", 1, Decimal("5.0000")),
    ]  # fmt: skip
    assert {key: product.title for key, product in products.items()} == {"TEE": "crew tee - black / s", "Mug": "mug"}
    assert {key: (user.country, user.attributes) for key, user in users.items()} == {
        "ann@example.com": ("US", {"marketing": "yes"}), "bob@example.com": ("US", {"marketing": "yes"}),
    }  # fmt: skip
    assert reasons == ["events: missing_user"]


def test_a_ga4_export(spark, tmp_path):
    def event(name, at, items, user=None, order=None, total=None, **params):
        return (
            "20240501", at, name, [(key, (value, None, None, None)) for key, value in params.items()], user,
            "browser.1", 1_700_000_000_000_000, ("mobile", "de"), ("Germany", "Berlin"), ("x", "cpc", "y"), "1", "WEB",
            (None, total, total, order), items,
        )  # fmt: skip

    def item(key, name, price, quantity=None):
        return (key, name, "Acme", None, "Home", "Gifts", None, price, quantity, None, None, None, None)

    at = 1_714_557_600_000_000
    mug = item("M1", "Red Mug", 4.5, 2)
    rows = [
        event("page_view", at, []),
        event("view_item", at + 1, [item("M1", "Red Mug", 5.0)], currency="EUR"),
        event("search", at + 2, [], search_term="red mug"),
        event("purchase", at + 3, [mug, item("C1", "Cup", 3.0, 1)], "ann", "T1", 12.0, currency="EUR"),
        event("purchase", at + 4, [mug], "ann", "T2", 9.0, currency="USD"),
        event("refund", at + 5, [], "ann", "T1", 12.0, currency="EUR"),
    ]
    spark.createDataFrame(rows, GA4).write.parquet(str(tmp_path / "ga4"))
    events, products, users, reasons = load(spark, "ga4", tmp_path)
    assert column(events, "event_type", "user_id", "quantity", "amount") == [
        ("purchase", "ann", 1, Decimal("3.0000")),
        ("purchase", "ann", 2, Decimal("9.0000")),
        ("return", "ann", 1, Decimal("12.0000")),
        ("search", "browser.1", 1, None),
        ("view", "browser.1", 1, Decimal("5.0000")),
    ]
    assert {(each["text"], each["product_id"]) for each in events if each["event_type"] == "search"} == {
        ("red mug", None)
    }
    assert {each["event_time"] for each in events if each["event_type"] == "return"} == {"2024-05-01 10:00:00.000005"}
    assert (products["M1"].title, products["M1"].category, set(products)) == ("red mug", "home > gifts", {"M1", "C1"})
    assert {key: (user.country, user.attributes["device"]) for key, user in users.items()} == {
        "ann": ("Germany", "mobile"), "browser.1": ("Germany", "mobile"),
    }  # fmt: skip
    assert reasons == ["events: other_currency"]


def test_the_rees46_store(spark, tmp_path):
    header = [
        "event_time",
        "event_type",
        "product_id",
        "category_id",
        "category_code",
        "brand",
        "price",
        "user_id",
        "user_session",
    ]

    def event(kind, price, user, code="electronics.smartphone"):
        values = ("2019-10-01 00:00:00 UTC", kind, "1003461", "2053013555631882655", code, "xiaomi", price, user, "s-1")
        return dict(zip(header, values, strict=True))

    write_csv(tmp_path / "2019-Oct.csv", header, [event("view", "489.07", "520088904"), event("cart", "489.07", "1")])
    bought = event("purchase", "489.07", "520088904")
    write_csv(tmp_path / "2019-Nov.csv", header, [bought, bought, event("remove_from_cart", "1", "1")])
    events, products, _, reasons = load(spark, "rees46", tmp_path)
    found = column(events, "event_type", "user_id", "event_time", "amount")
    assert [each[:2] for each in found] == [
        ("cart", "1"), ("purchase", "520088904"), ("purchase", "520088904"), ("view", "520088904"),
    ]  # fmt: skip
    assert found[1][2:] == ("2019-10-01 00:00:00", Decimal("489.0700"))
    (product,) = products.values()
    assert (product.title, product.category) == ("xiaomi smartphone", "electronics > smartphone")
    assert reasons == []


def test_olist_after_the_join_that_its_mapping_gives(spark, tmp_path, monkeypatch):
    tables = {
        "customers": "customer_id,customer_unique_id,customer_zip_code_prefix,customer_city,customer_state\n"
        "c1,u1,01310,sao paulo,SP\nc2,u1,01310,sao paulo,SP\n",
        "orders": "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,"
        "order_delivered_carrier_date,order_delivered_customer_date,order_estimated_delivery_date\n"
        "o1,c1,delivered,2017-10-02 10:56:33,,,,\no2,c2,canceled,2017-11-02 10:56:33,,,,\n",
        "order_items": "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value\n"
        "o1,1,p1,s1,2017-10-06 11:07:15,29.99,8.72\no1,2,p1,s1,2017-10-06 11:07:15,29.99,8.72\n"
        "o2,1,p1,s1,2017-10-06 11:07:15,29.99,8.72\n",
        "order_reviews": "review_id,order_id,review_score,review_comment_title,review_comment_message,"
        'review_creation_date,review_answer_timestamp\nr1,o1,5,,"Muito\nbom",2017-10-11 00:00:00,2017-10-12 03:43:48\n',
        "products": "product_id,product_category_name,product_name_lenght,product_description_lenght,"
        "product_photos_qty,product_weight_g,product_length_cm,product_height_cm,product_width_cm\n"
        "p1,utilidades_domesticas,40,268,4,500,19,8,13\n",
    }
    for name, text in tables.items():
        (tmp_path / f"olist_{name}_dataset.csv").write_text(text)
    comments = [line.removeprefix("#   ") for line in (SOURCES / "olist.yaml").read_text().splitlines()]
    program = comments[comments.index("import pandas as pd") :]
    monkeypatch.chdir(tmp_path)
    exec("\n".join(program[: program.index("#")]), {"pd": pd})
    events, products, users, reasons = load(spark, "olist", tmp_path)
    assert column(events, "event_id", "user_id", "event_time", "amount", "text") == [
        ("o1/1", "u1", "2017-10-02 13:56:33", Decimal("29.9900"), None),
        ("o1/2", "u1", "2017-10-02 13:56:33", Decimal("29.9900"), None),
        ("review/r1/o1", "u1", "2017-10-12 06:43:48", None, "5 estrelas Muito\nbom"),
    ]
    assert products["p1"].title == "utilidades domesticas"
    assert users["u1"].attributes == {"state": "SP", "city": "sao paulo"}
    assert reasons == []
