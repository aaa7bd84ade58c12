"""A made-up shop of a dozen users as a warehouse: enough to score, small enough to score often."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from ulvspark.contract import schema
from ulvspark.warehouse.settings import CURRENCY, TIME_ZONE
from ulvspark.warehouse.tables import Warehouse

AS_OF = date(2020, 3, 1)
SHOPPERS = tuple(f"user{number:02d}" for number in range(12))
"""``user00`` has the shortest history and ``user11`` the longest."""
STRANGERS = ("signed-up-only", "comes-later")
"""Known users without an event before ``AS_OF``."""
TITLES = {"p0": "red mug", "p1": "white heart holder", "p2": "woolly hottie"}


def fill(warehouse: Warehouse, currency: str = "GBP") -> None:
    """Write events, products and users."""
    warehouse.ensure(schema.EVENTS, {CURRENCY: currency, TIME_ZONE: "Europe/London"})
    events = [purchase(user, n, 5 + 7 * n + i) for i, user in enumerate(SHOPPERS) for n in range(i + 1)]
    add_events(warehouse, [*events, purchase("comes-later", 0, -10)])
    _write(warehouse, schema.PRODUCTS, [(key, title, "home > gifts", None, None, 0) for key, title in TITLES.items()])
    users = (*SHOPPERS[::2], *STRANGERS)
    _write(warehouse, schema.USERS, [(user, date(2019, 1, 1), "GB", {"age": "30-39"}) for user in users])


def purchase(user: str, number: int, days_before: int) -> tuple:
    """One event row, ``days_before`` AS_OF."""
    product = f"p{number % 3}"
    price = Decimal(3 + 2 * number + int(user[-2:]) if user[-2:].isdigit() else 3)
    time = datetime(AS_OF.year, AS_OF.month, AS_OF.day, 12, tzinfo=UTC) - timedelta(days=days_before)
    return (
        f"{user}-{number}-{days_before}", user, f"{user}-{number}", time, "purchase", product, Decimal(2), price, None,
        2 * price, None, price, "at", "cheap", 0, time,
    )  # fmt: skip


def review(user: str, text: str, days_before: int) -> tuple:
    """One event row with a text of its own, ``days_before`` AS_OF."""
    event_id, *_, stamp = purchase(user, 0, days_before)
    return (
        f"review-{event_id}", user, None, stamp, "review", "p0", None, None, None, None, text, None, None, None, 0,
        stamp,
    )  # fmt: skip


def add_events(warehouse: Warehouse, events: list[tuple]) -> None:
    _write(warehouse, schema.EVENTS, events)


def _write(warehouse: Warehouse, table: schema.Table, rows: list[tuple]) -> None:
    warehouse.ensure(table)
    warehouse.append(warehouse.spark.createDataFrame(rows, table.ddl), table.name)
