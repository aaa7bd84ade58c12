"""Events, products and users made by hand, as frames of the contract."""

from datetime import datetime
from decimal import Decimal

from ulvspark.contract import schema

EVENT = {"event_type": "purchase", "quantity": "1", "amount": "1", "content_hash": 0, "ingested_at": "2030-01-01"}
MONEY = ("quantity", "unit_price", "list_price", "amount", "reference_price")
TIMES = ("event_time", "ingested_at")


def events(spark, rows):
    """``rows`` are dicts of event columns: times in ISO (UTC unless they say otherwise), money as text."""
    return spark.createDataFrame([_event(EVENT | row) for row in rows], schema.EVENTS.ddl)


def _event(row):
    read = {name: None if value is None else _read(name, value) for name, value in row.items()}
    return tuple(read.get(name) for name in schema.EVENTS.names)


def _read(name, value):
    if name in TIMES:
        return datetime.fromisoformat(value + "+00:00")
    return Decimal(value) if name in MONEY else value


def products(spark, titles, category="home > gifts"):
    rows = [(key, title, category, "acme", None, hash(title)) for key, title in titles.items()]
    return spark.createDataFrame(rows, schema.PRODUCTS.ddl)


def users(spark, rows):
    """``rows`` are (user_id, signup, country, attributes)."""
    return spark.createDataFrame(rows, schema.USERS.ddl)


def by_user(frame):
    """The rows of ``frame`` as dicts, by user."""
    return {row["user_id"]: row.asDict(recursive=True) for row in frame.collect()}
