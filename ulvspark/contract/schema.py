"""The tables: names, columns, keys, and types as strings of Spark's DDL."""

from dataclasses import dataclass, replace

from ulvspark.contract.heads import HEADS

MONEY = "DECIMAL(18,4)"
"""Every amount and price. Sums of decimals are exact, so partitioning cannot change them."""

EVENT_TYPES = ("purchase", "return", "view", "click", "cart", "search", "review")

PRICE_RELATIONS = ("below", "at", "above")
"""Unit price against the product's reference price."""

PRICE_LEVELS = ("cheap", "inexpensive", "mid-priced", "pricey", "dear")
"""Unit price within its category, cheapest first."""

CODED = {"event_type": EVENT_TYPES, "price_relation": PRICE_RELATIONS, "price_level": PRICE_LEVELS}
"""Columns of an event that hold one of a few words. Arrays hold the place of the word instead.

Words may be appended, never moved or removed, since weights and kept hashes of histories rely on the places.
"""

DISCOUNT_THRESHOLD = 0.05
"""A price is 'below' ('above') the reference price from this share under (over) it."""

STATUS_SCORED = "scored"
STATUS_NO_HISTORY = "no_history"


@dataclass(frozen=True)
class Column:
    """One column; a ``required`` one holds no null."""

    name: str
    type: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """A table. The ``key`` columns identify a row; files are partitioned by the ``partition`` columns."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition: tuple[str, ...] = ()
    order: str | None = None
    """A time by which the first rows are sorted, so that each file holds a short span of it."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.required)

    def only(self, *names: str) -> "Table":
        """The same table with only these columns: those that a job reads."""
        return replace(self, columns=tuple(column for column in self.columns if column.name in names))

    @property
    def ddl(self) -> str:
        """The schema as Spark reads it: ``name TYPE, name TYPE``."""
        return ", ".join(f"{column.name} {column.type}" for column in self.columns)


EVENTS = Table(
    "events",
    (
        Column("event_id", "STRING", True),
        Column("user_id", "STRING", True),
        Column("order_id", "STRING"),
        Column("event_time", "TIMESTAMP", True),
        Column("event_type", "STRING", True),
        Column("product_id", "STRING"),
        Column("quantity", MONEY),
        Column("unit_price", MONEY),
        Column("list_price", MONEY),
        Column("amount", MONEY),
        Column("text", "STRING"),
        Column("reference_price", MONEY),
        Column("price_relation", "STRING"),
        Column("price_level", "STRING"),
        Column("content_hash", "BIGINT", True),
        Column("ingested_at", "TIMESTAMP", True),
    ),
    key=("event_id",),
    order="event_time",
)
"""What users did. Quantities are positive and amounts are net of discount; a return has the type 'return', no sign."""

STAMPED = ("reference_price", "price_relation", "price_level", "ingested_at")
"""Columns of an event that are made when it is loaded, and never revised."""

PRICE_DAYS = Table(
    "price_days",
    (
        Column("product_id", "STRING", True),
        Column("day", "DATE", True),
        Column("bought", "BIGINT", True),
        Column("paid", "DECIMAL(28,4)", True),
        Column("ln_sum", "BIGINT", True),
        Column("ln_squares", "DECIMAL(28,0)", True),
    ),
    key=("product_id", "day"),
)
"""What was paid for a product on a UTC day: purchases, their prices, and the sums of ln(price) in millionths.

A load stamps prices by these sums instead of reading all events. An event without a product counts under ''.
"""

PRODUCTS = Table(
    "products",
    (
        Column("product_id", "STRING", True),
        Column("title", "STRING"),
        Column("category", "STRING"),
        Column("brand", "STRING"),
        Column("description", "STRING"),
        Column("text_hash", "BIGINT", True),
    ),
    key=("product_id",),
)
"""The catalogue as it is now. ``category`` is a path from coarse to fine, joined by ' > '."""

USERS = Table(
    "users",
    (
        Column("user_id", "STRING", True),
        Column("signup", "DATE"),
        Column("country", "STRING"),
        Column("attributes", "MAP<STRING, STRING>"),
    ),
    key=("user_id",),
)

PACKED = {
    "day": "<i4", "event_type": "<i1", "price_relation": "<i1", "price_level": "<i1", "order": "<i4",
    "product": "<i8", "quantity": "<i8", "amount": "<i8", "list_value": "<i8", "text_key": "<i8",
}  # fmt: skip
"""The numbers of an event in ``TIMELINES``, with their widths as numpy names them. The least of a width means unknown.

``day`` counts local days since 1970-01-01; the next three are places in ``CODED``; ``order`` numbers the orders of a
user, from 0 at the newest; ``product`` is a hash of the product's id; ``quantity``, ``amount`` and ``list_value``
(quantity times list price) are ten-thousandths; ``text_key`` is the key of the event's own text.
"""

PACKED_MEANING = "1"
"""Change it when a number of ``PACKED`` gets another meaning: all timelines are then built again."""

TIMELINES = Table(
    "timelines",
    (
        Column("user_id", "STRING", True),
        Column("known", "BOOLEAN", True),
        Column("signup", "INT"),
        *(Column(name, "BINARY", True) for name in PACKED),
    ),
    key=("user_id",),
)
"""All events of each user, newest first, as arrays of ``PACKED``: nights read them instead of ``events``.

``known`` users are in the table ``users``, from which ``signup`` is, counted as ``day`` is.
"""

QUARANTINE = Table(
    "quarantine",
    (
        Column("run_id", "STRING", True),
        Column("source", "STRING", True),
        Column("source_table", "STRING", True),
        Column("target", "STRING", True),
        Column("reason", "STRING", True),
        Column("source_row", "STRING", True),
        Column("quarantined_at", "TIMESTAMP", True),
    ),
    key=("source", "source_table", "target", "reason", "source_row"),
)
"""Rows that were not loaded, with the first run that met them.

``reason`` is one of ``ulvspark.intake.judging.quarantine``; ``source_row`` is JSON. Equal rows are here once;
``ulv_runs`` counts them in each run.
"""

SOURCE_READS = Table(
    "source_reads",
    (
        Column("source", "STRING", True),
        Column("target", "STRING", True),
        Column("place", "INT", True),
        Column("source_table", "STRING", True),
        Column("mapping", "STRING", True),
        Column("position", "STRING", True),
        Column("run_id", "STRING", True),
        Column("read_at", "TIMESTAMP", True),
    ),
    key=("source", "target", "place"),
)
"""What the last load read of each source table.

``place`` numbers the mappings of a target, ``mapping`` is a digest of the source's YAML, and ``position`` is JSON: a
version of a Delta table, the files that were there, or the newest time in a column.
"""

HISTORY_TYPE = (
    "STRUCT<profile: MAP<STRING, STRING>, events: ARRAY<STRUCT<"
    "event_type: STRING, order_id: STRING, gap_days: INT, quantity: DOUBLE, price_relation: STRING, "
    "price_level: STRING, title: STRING, category: STRING, brand: STRING, text: STRING, "
    "product_key: BIGINT, text_key: BIGINT>>>"
)
"""What is read of a user: the profile, null where it is empty, and the newest N events, newest first.

Keys are hashes of the product's words and of the event's own text, as in ``text_vectors``.

``gap_days`` is the whole local days since the event before (older); null for a user's first event.
``order_id`` numbers the orders in the history ("0" is the newest); it is never the platform's id.
"""

TEXT_VECTORS = Table(
    "text_vectors",
    (
        Column("text_encoder_version", "STRING", True),
        Column("text_key", "BIGINT", True),
        Column("vector", "BINARY", True),
        Column("created_at", "TIMESTAMP", True),
    ),
    key=("text_encoder_version", "text_key"),
    partition=("text_encoder_version",),
)
"""A cache of the vectors of products, searches and reviews; ``vector`` is little-endian float16."""

USER_VECTORS = Table(
    "user_vectors",
    (
        Column("user_encoder_version", "STRING", True),
        Column("history_hash", "STRING", True),
        Column("vector", "BINARY", True),
        Column("created_at", "TIMESTAMP", True),
    ),
    key=("user_encoder_version", "history_hash"),
    partition=("user_encoder_version",),
)
"""A cache of the vectors of users; ``vector`` is little-endian float32."""

POPULATIONS = Table(
    "populations",
    (
        Column("run_id", "STRING", True),
        Column("as_of_date", "DATE", True),
        Column("users", "BIGINT", True),
        Column("platform_scale", "DOUBLE", True),
        Column("quantiles", "MAP<STRING, ARRAY<DOUBLE>>", True),
    ),
    key=("run_id", "as_of_date"),
)
"""The platform on a date: quantiles turn money into ranks, and the scale turns spend into platform scales."""

LABELS = (
    Column("spend", "DOUBLE", True),
    Column("churned", "INT", True),
    Column("price_sensitivity", "DOUBLE"),
    Column("orders_in_horizon", "BIGINT", True),
)
"""Training labels from [as_of, as_of + horizon). Spend is max(0, net spend) in the warehouse's currency."""

SCORE_COLUMNS = (  # the predictions' columns are those of contract/heads
    Column("user_id", "STRING", True),
    Column("as_of_date", "DATE", True),
    Column("horizon_days", "INT", True),
    Column("currency", "STRING", True),
    Column("ulv_tier", "STRING"),
    Column("raw_tier", "STRING"),
    Column("previous_tier", "STRING"),
    *(Column(name, head.column_type) for head in HEADS.values() for name in head.columns),
    Column("status", "STRING", True),
    Column("model_version", "STRING", True),
    Column("run_id", "STRING", True),
    Column("scored_at", "TIMESTAMP", True),
)

SCORES = Table("ulv_scores", SCORE_COLUMNS, key=("user_id",))
"""One row a user, of the newest date scored."""

SCORES_HISTORY = Table("ulv_scores_history", SCORE_COLUMNS, key=("user_id", "as_of_date"), partition=("as_of_date",))

RUNS = Table(
    "ulv_runs",
    (
        Column("run_id", "STRING", True),
        Column("job", "STRING", True),
        Column("as_of_date", "DATE"),
        Column("model_version", "STRING"),
        Column("status", "STRING", True),
        Column("exit_code", "INT"),
        Column("reason", "STRING"),
        Column("warnings", "ARRAY<STRING>"),
        Column("started_at", "TIMESTAMP", True),
        Column("finished_at", "TIMESTAMP"),
        Column("versions_read", "MAP<STRING, BIGINT>"),
        Column("versions_written", "MAP<STRING, BIGINT>"),
        Column("counts", "MAP<STRING, BIGINT>"),
        Column("seconds", "MAP<STRING, DOUBLE>"),
        Column("metrics", "MAP<STRING, DOUBLE>"),
    ),
    key=("run_id",),
)
"""One row a run of a job. ``status`` is one of ``RUN_STATUSES``; what only the end tells is null until then."""

RUN_STATUSES = ("started", "done", "refused", "failed", "killed")


PUBLICATIONS = Table(
    "ulv_published",
    (
        Column("as_of_date", "DATE", True),
        Column("step", "STRING", True),
        Column("run_id", "STRING", True),
        Column("published_at", "TIMESTAMP", True),
        Column("versions", "MAP<STRING, BIGINT>", True),
    ),
    key=("as_of_date", "step", "run_id"),
)
"""Which versions of the published tables belong together: one row for each step of a date that was published."""

TRAINING_SET = "training_set"
"""The table of eligible users at each origin: their behaviour (``ulvspark.history.behaviour``) and ``LABELS``."""
