"""Notes on rows that are loaded all the same: digits that were lost, damaged text, ids made of content."""

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from ulvspark.contract import schema

LOST_PRECISION, DAMAGED, VARIABLE, MADE_ID = "lost_precision_", "damaged_", "variable_", "made_event_id"
"""Names of notes, and what the names begin with where a note is about a column."""

NOTES: Mapping[str, tuple[str, ...]] = {
    schema.EVENTS.name: (
        *(f"{LOST_PRECISION}{name}" for name in ("quantity", "unit_price", "list_price", "amount", "discount")),
        f"{DAMAGED}text",
        *(f"{VARIABLE}{name}" for name in ("user_id", "product_id")),
        MADE_ID,
    ),
    schema.PRODUCTS.name: (
        *(f"{DAMAGED}{name}" for name in ("title", "category", "brand", "description")),
        f"{VARIABLE}product_id",
    ),
    schema.USERS.name: (f"{DAMAGED}country", f"{DAMAGED}attributes", f"{VARIABLE}user_id"),
}
"""For each table its notes. A row's ``notes`` is a whole number with a bit for each, so that they cost no pass of their
own: they are counted with the outcomes."""


def note_bits(table: str, conditions: Mapping[str, Column]) -> Column:
    """The ``notes`` of a row for which some of ``conditions``, by note, hold."""
    bits = [F.when(holds, F.lit(bit(table, note))).otherwise(F.lit(0)) for note, holds in conditions.items()]
    return reduce(lambda left, right: left.bitwiseOR(right), bits, F.lit(0))


def bit(table: str, note: str) -> int:
    """The bit of a note in ``notes``."""
    return 1 << NOTES[table].index(note)


def count_notes(table: str) -> Column:
    """An aggregate: in how many rows each note of the table stands, in the order of ``NOTES``."""
    counts = [F.count_if(F.col("notes").bitwiseAND(F.lit(bit(table, note))) != 0) for note in NOTES[table]]
    return F.array(*counts)


def by_name(table: str, counts: Sequence[int]) -> dict[str, int]:
    """What ``count_notes`` gave, without zeros."""
    return {note: count for note, count in zip(NOTES[table], counts, strict=True) if count}
