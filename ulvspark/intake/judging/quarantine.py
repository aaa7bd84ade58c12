"""Which rows are not loaded, and why: an ordered list of rules for each contract table, and the quarantined rows."""

from datetime import datetime
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.source.source import SourceConfig
from ulvspark.intake.columns.targets import EVENTS_TARGET

MALFORMED = "malformed_row"
MISSING_USER = "missing_user"
MISSING_PRODUCT = "missing_product"
MISSING_EVENT_TIME = "missing_event_time"
IMPLAUSIBLE_EVENT_TIME = "implausible_event_time"
IMPLAUSIBLE_SIGNUP = "implausible_signup"
FUTURE_EVENT_TIME = "future_event_time"
UNKNOWN_EVENT_TYPE = "unknown_event_type"
AMOUNT_TOO_LARGE = "amount_too_large"
IMPOSSIBLE_QUANTITY = "impossible_quantity"
IMPOSSIBLE_PRICE = "impossible_price"
OTHER_CURRENCY = "other_currency"
CONTRADICTING_DUPLICATE = "contradicting_duplicate"
UNPARSABLE = "unparsable_"
"""Prefix of a reason that names the column in which the source has a value that its type cannot hold, or whose
expression gives null in a row where all that it reads has a value."""
INEXACT = "inexact_"
"""Prefix of a reason that names the id which is a double that may stand for several ids."""
DAMAGED = "damaged_"
"""Prefix of a reason that names the id which was read in a wrong encoding."""

SUPERSEDED = "superseded"
IDENTICAL_COPY = "identical_copy"
IGNORED = (SUPERSEDED, IDENTICAL_COPY)
"""Outcomes that are no mistakes: an older row of a key, and a second copy of a row with an id of its own."""

Rules = tuple[tuple[str, str], ...]
"""Pairs of SQL: a condition for bad rows, and the reason. The first condition that holds gives the reason."""

_MALFORMED_RULE = ("malformed IS NOT NULL", f"'{MALFORMED}'")
_FAULT_RULE = ("fault IS NOT NULL", "fault")
_TYPES = ", ".join(f"'{name}'" for name in schema.EVENT_TYPES)
_TRADE = "event_type IN ('purchase', 'return')"


def event_rules(source: SourceConfig) -> Rules:
    """Rules of ``events``. A price of zero is a gift, and allowed."""
    limits = source.limits
    return (
        _MALFORMED_RULE,
        _missing("user_id", MISSING_USER),
        _FAULT_RULE,
        ("event_time IS NULL", f"'{MISSING_EVENT_TIME}'"),
        (f"event_time < TIMESTAMP '{limits.earliest} 00:00:00'", f"'{IMPLAUSIBLE_EVENT_TIME}'"),
        ("event_time > ingested_at", f"'{FUTURE_EVENT_TIME}'"),
        (f"event_type IS NULL OR event_type NOT IN ({_TYPES})", f"'{UNKNOWN_EVENT_TYPE}'"),
        (_too_large(limits.largest_amount), f"'{AMOUNT_TOO_LARGE}'"),
        _failed_of_trade("quantity"),
        # Before the price, which is often an amount shared out: of a purchase of nothing there is none.
        (f"quantity < 0 OR ({_TRADE} AND coalesce(quantity, 0) = 0)", f"'{IMPOSSIBLE_QUANTITY}'"),
        *(_failed_of_trade(name) for name in EVENTS_TARGET.of_trades if name != "quantity"),
        ("least(unit_price, list_price, amount) < 0", f"'{IMPOSSIBLE_PRICE}'"),
        (f"{_TRADE} AND (unit_price IS NULL OR amount IS NULL)", f"'{IMPOSSIBLE_PRICE}'"),
        (f"currency <> '{source.currency}'", f"'{OTHER_CURRENCY}'"),
    )


def user_rules(source: SourceConfig, clock: datetime) -> Rules:
    """Rules of ``users``, who signed up by the platform's day of ``clock``."""
    today = clock.astimezone(ZoneInfo(source.time_zone)).date()
    return (
        _MALFORMED_RULE,
        _missing("user_id", MISSING_USER),
        _FAULT_RULE,
        (f"signup NOT BETWEEN DATE '{source.limits.earliest}' AND DATE '{today}'", f"'{IMPLAUSIBLE_SIGNUP}'"),
    )


def product_rules() -> Rules:
    """Rules of ``products``."""
    return (_MALFORMED_RULE, _missing("product_id", MISSING_PRODUCT), _FAULT_RULE)


def _missing(column: str, reason: str) -> tuple[str, str]:
    """An id is missing unless its fault says why there is none."""
    return f"{column} IS NULL AND NOT endswith(coalesce(fault, ''), '{column}')", f"'{reason}'"


def _too_large(limit: float) -> str:
    # As doubles: Spark multiplies decimals as objects.
    value = "CAST(quantity AS DOUBLE) * CAST(greatest(unit_price, list_price) AS DOUBLE)"
    return f"greatest(quantity, unit_price, list_price, amount, discount) > {limit:.4f}BD OR {value} > {limit!r}D"


def _failed_of_trade(column: str) -> tuple[str, str]:
    return f"{_TRADE} AND failed_{column} AND {column} IS NULL", f"'{UNPARSABLE}{column}'"


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
