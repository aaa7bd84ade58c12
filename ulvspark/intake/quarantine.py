"""Which rows are not loaded, and why: an ordered list of rules for each contract table, and the quarantined rows."""

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema

MALFORMED = "malformed_row"
MISSING_USER = "missing_user"
MISSING_PRODUCT = "missing_product"
MISSING_EVENT_TIME = "missing_event_time"
FUTURE_EVENT_TIME = "future_event_time"
UNKNOWN_EVENT_TYPE = "unknown_event_type"
IMPOSSIBLE_QUANTITY = "impossible_quantity"
IMPOSSIBLE_PRICE = "impossible_price"
OTHER_CURRENCY = "other_currency"
CONTRADICTING_DUPLICATE = "contradicting_duplicate"
UNPARSABLE = "unparsable_"
"""Prefix of a reason that names the column in which the source has a value that its type cannot hold."""

SUPERSEDED = "superseded"
IDENTICAL_COPY = "identical_copy"
IGNORED = (SUPERSEDED, IDENTICAL_COPY)
"""Outcomes that are no mistakes: an older row of a key, and a second copy of a row with an id of its own."""

Rules = tuple[tuple[str, str], ...]
"""Pairs of SQL: a condition for bad rows, and the reason. The first condition that holds gives the reason."""

_MALFORMED_RULE = ("malformed IS NOT NULL", f"'{MALFORMED}'")
_UNPARSABLE_RULE = ("unparsable IS NOT NULL", f"concat('{UNPARSABLE}', unparsable)")
_TYPES = ", ".join(f"'{name}'" for name in schema.EVENT_TYPES)
_TRADE = "event_type IN ('purchase', 'return')"


def event_rules(currency: str) -> Rules:
    """Rules of ``events``, whose money must be in ``currency``. A price of zero is a gift, and allowed."""
    return (
        _MALFORMED_RULE,
        ("user_id IS NULL", f"'{MISSING_USER}'"),
        _UNPARSABLE_RULE,
        ("event_time IS NULL", f"'{MISSING_EVENT_TIME}'"),
        ("event_time > ingested_at", f"'{FUTURE_EVENT_TIME}'"),
        (f"event_type IS NULL OR event_type NOT IN ({_TYPES})", f"'{UNKNOWN_EVENT_TYPE}'"),
        (f"quantity < 0 OR ({_TRADE} AND coalesce(quantity, 0) = 0)", f"'{IMPOSSIBLE_QUANTITY}'"),
        ("least(unit_price, list_price, amount) < 0", f"'{IMPOSSIBLE_PRICE}'"),
        (f"{_TRADE} AND (unit_price IS NULL OR amount IS NULL)", f"'{IMPOSSIBLE_PRICE}'"),
        (f"currency <> '{currency}'", f"'{OTHER_CURRENCY}'"),
    )


PRODUCT_RULES: Rules = (_MALFORMED_RULE, ("product_id IS NULL", f"'{MISSING_PRODUCT}'"), _UNPARSABLE_RULE)
USER_RULES: Rules = (_MALFORMED_RULE, ("user_id IS NULL", f"'{MISSING_USER}'"), _UNPARSABLE_RULE)


def first_reason(rules: Rules) -> Column:
    """The reason of the first rule that a row breaks; null for a good row."""
    cases = " ".join(f"WHEN {condition} THEN {reason}" for condition, reason in rules)
    return F.expr(f"CASE {cases} END")


def is_quarantined(outcome: Column) -> Column:
    """True where ``outcome`` is a reason for quarantine: neither null (a good row) nor one of ``IGNORED``."""
    return outcome.isNotNull() & ~outcome.isin(*IGNORED)


def quarantine_rows(checked: DataFrame, target: str, source: str, run_id: str, clock: datetime) -> DataFrame:
    """The bad rows of ``checked`` (columns outcome, source_table, source_row) as rows of ``schema.QUARANTINE``."""
    return checked.where(is_quarantined(F.col("outcome"))).select(
        F.lit(run_id).alias("run_id"),
        F.lit(source).alias("source"),
        "source_table",
        F.lit(target).alias("target"),
        F.col("outcome").alias("reason"),
        "source_row",
        F.lit(clock).alias("quarantined_at"),
    )
