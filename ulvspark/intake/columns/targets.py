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
    """A contract table and its columns that may be mapped, with their types, and those that must be."""

    table: schema.Table
    columns: Mapping[str, str]
    required: tuple[str, ...]


def _target(table: schema.Table, made: tuple[str, ...], required: tuple[str, ...], **extra: str) -> Target:
    columns = {column.name: column.type for column in table.columns if column.name not in made}
    return Target(table, columns | extra, required)


EVENTS_TARGET = _target(
    schema.EVENTS,
    (*schema.STAMPED, "content_hash"),
    ("user_id", "event_time", "event_type"),
    discount=schema.MONEY,
    currency="STRING",
)
"""``discount`` is money off the whole row, for sources without a list price; ``currency`` is the code of a row."""
PRODUCTS_TARGET = _target(schema.PRODUCTS, ("text_hash",), ("product_id",))
USERS_TARGET = _target(schema.USERS, (), ("user_id",))
