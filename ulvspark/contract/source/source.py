"""A source: where a company's tables are, how they map to the contract, and the dates for training and testing."""

from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from ulvspark.contract.config import Strict
from ulvspark.contract.protocol import AnyProtocol, Protocol
from ulvspark.contract.source.limits import Limits
from ulvspark.contract.source.values import MISSING_WORDS, IdForm, Text, WithValues
from ulvspark.contract.spec import HistorySpec


def _known_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"unknown time zone {name!r}; use an IANA name such as Europe/London") from None
    return name


class ReadFrom(Strict):
    """One source table. ``options`` are passed to Spark's reader; ``${NAME}`` in them is an environment variable."""

    format: Literal["delta", "parquet", "csv", "jdbc"]
    path: str | None = None
    """A file or folder, relative to the source root; or an s3a:// address."""
    table: str | None = None
    """A catalog table (delta) or the remote table (jdbc)."""
    options: dict[str, str] = Field(default_factory=dict)
    encoding: str | None = None
    """Of CSV files, by a name that Java knows; UTF-8 where it is not given."""

    @model_validator(mode="after")
    def _csv_alone_has_an_encoding(self) -> Self:
        if self.encoding is not None and self.format != "csv":
            raise ValueError(f"encoding is for CSV files, and {self.format} has none; take it out")
        return self

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.table is None):
            raise ValueError("give either path or table")
        return self

    @property
    def name(self) -> str:
        """The name of the source table in messages and in quarantine."""
        return self.path or self.table or ""


class Since(Strict):
    """Read only rows whose time in the column ``since`` is new."""

    since: str
    """A DATE or TIMESTAMP column of the source table that grows as rows are added or corrected."""
    overlap_days: int = Field(default=1, ge=0, le=3660)
    """Rows may come so late: each load reads that many days before the newest time that it knows once more."""


class TableMapping(WithValues):
    """How a source table becomes a contract table: an SQL expression for each contract column."""

    read: ReadFrom
    explode: str | None = None
    """SQL expression of an array: each of its elements becomes a row, and is called ``item`` in the expressions.

    A row whose array is empty stays one row, whose ``item`` is null.
    """
    filter: str | None = None
    """SQL condition; rows for which it is not true are left out and not counted."""
    latest_by: str | None = None
    """SQL expression; of the rows of a key, only the one with the largest value is kept."""
    incremental: bool | Since = False
    """Read only what no earlier load has read: a Delta table by its versions, Parquet and CSV by their files."""
    time_zone: str | None = None
    """Time zone of the source's local times; by default the platform's.

    It must be given where ``event_time`` is a TIMESTAMP, which may hold local times or instants; give UTC for instants.
    """

    @model_validator(mode="after")
    def _knows_what_is_new(self) -> Self:
        if self.incremental is True and self.read.format == "jdbc":
            raise ValueError("a jdbc table is read by a column of times: give incremental: {since: COLUMN}")
        return self

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str | None) -> str | None:
        return name if name is None else _known_time_zone(name)


class SourceConfig(Strict):
    """The YAML of a source (``conf/sources/*.yaml``)."""

    name: str
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    time_zone: str
    """The platform's: an ``as_of`` is local midnight in it."""
    events: tuple[TableMapping, ...] = Field(min_length=1)
    products: TableMapping | None = None
    users: TableMapping | None = None
    missing_words: tuple[Text, ...] = MISSING_WORDS
    """Text that stands for no value in ids, event types, times, money and currencies; in upper and lower case alike."""
    ids: IdForm = IdForm()
    limits: Limits = Limits()
    vanished: Literal["keep", "delete"] = "keep"
    """What becomes of rows that the source no longer has, where a load knows: by ``--full`` or by a change feed."""
    corrections_reach_days: int | None = Field(default=None, ge=0, le=36600)
    """A correction moves an event by no more than this many days (None: by any number).

    Loads then look for known events among those of so many days around the new ones, however long the history is.
    """
    protocol: AnyProtocol | None = None
    """For training alone."""

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        return _known_time_zone(name)

    def mappings(self, table: str) -> tuple[TableMapping, ...]:
        """The mappings to ``events``, ``products`` or ``users``."""
        mapped: tuple[TableMapping, ...] | TableMapping | None = getattr(self, table)
        if mapped is None:
            return ()
        return mapped if isinstance(mapped, tuple) else (mapped,)

    @property
    def source_tables(self) -> tuple[tuple[str, str], ...]:
        """The contract table and the name of each source table, once where several mappings read it."""
        targets = ("events", "products", "users")
        return tuple(dict.fromkeys((target, each.read.name) for target in targets for each in self.mappings(target)))


TRAINING_SET_META = "ulvspark.training_set"
"""The table property of the training set that holds its ``TrainingSetMeta`` as JSON."""


class TrainingSetMeta(Strict):
    """How a training set was made; stored with it, and copied into bundles."""

    run_id: str
    history_spec: HistorySpec
    numbers: tuple[str, ...]
    """The numbers of a user in the order of the table's columns, which models learn from."""
    numbers_version: int
    """``ulvspark.history.numbers.NUMBERS_VERSION`` of the code that computed them."""
    protocol: Protocol
    """The dates of its rows; rolling ones as they were when it was made."""
    currency: str
    time_zone: str
    data_versions: dict[str, int]
    """The Delta versions of events, products and users that were read."""
