"""The columns that a mapping may give to events, products and users, and the types of values each can be made from."""

from collections.abc import Mapping
from dataclasses import dataclass

from ulvspark.contract import schema

TEXTS = {"string", "varchar", "char"}
INTEGERS = {"byte", "short", "integer", "long"}
NUMBERS = INTEGERS | {"float", "double", "decimal"}
_LOCAL_TIMES = {"timestamp_ntz", "date", *TEXTS}

ACCEPTED = {
    "STRING": TEXTS | NUMBERS | {"boolean", "date", "timestamp", "timestamp_ntz"},
    schema.MONEY: TEXTS | NUMBERS,
    "TIMESTAMP": _LOCAL_TIMES | {"timestamp"},
    "DATE": _LOCAL_TIMES | {"timestamp"},
    "MAP<STRING, STRING>": {"map"},
}
"""For each contract type, the types of source values (by Spark's names) that can be converted to it."""


@dataclass(frozen=True)
class Target:
    """A contract table and its columns that may be mapped, with their types."""

    table: schema.Table
    columns: Mapping[str, str]
    required: tuple[str, ...]
    """Columns that must be mapped, and have a value in each row."""
    of_trades: tuple[str, ...] = ()
    """Columns that a purchase or return has, where it can: an expression that should give one and gives null failed."""

    @property
    def needed(self) -> tuple[str, ...]:
        return (*self.required, *self.of_trades)


def _columns(table: schema.Table, made: tuple[str, ...] = (), **extra: str) -> dict[str, str]:
    return {column.name: column.type for column in table.columns if column.name not in made} | extra


EVENTS_TARGET = Target(
    schema.EVENTS,
    _columns(schema.EVENTS, (*schema.STAMPED, "content_hash"), discount=schema.MONEY, currency="STRING"),
    required=("user_id", "event_time", "event_type"),
    of_trades=("quantity", "unit_price", "amount"),
)
"""``discount`` is money off the whole row, for sources without a list price; ``currency`` is the code of a row."""
PRODUCTS_TARGET = Target(schema.PRODUCTS, _columns(schema.PRODUCTS, ("text_hash",)), required=("product_id",))
USERS_TARGET = Target(schema.USERS, _columns(schema.USERS), required=("user_id",))
