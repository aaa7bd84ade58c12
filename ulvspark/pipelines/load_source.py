"""Load a company's tables into ``events``, ``products`` and ``users``; rows that cannot be right go to quarantine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.arguments import RunRequest
from ulvspark.contract.errors import ExpectedError, RefusedError
from ulvspark.contract.source import SourceConfig
from ulvspark.intake import load_limits
from ulvspark.intake.alike_ids import alike_ids
from ulvspark.intake.identity import event_id_properties
from ulvspark.intake.notes import VARIABLE
from ulvspark.intake.outcomes import TableOutcome, by_source_table, together
from ulvspark.intake.price_stamps import changed_events, stamp
from ulvspark.intake.sources import Mapped, read_errors_as_expected, read_source
from ulvspark.warehouse.lease import INPUTS
from ulvspark.warehouse.runs.opening import open_run
from ulvspark.warehouse.runs.report import Step
from ulvspark.warehouse.runs.table_check import check_tables
from ulvspark.warehouse.tables import CURRENCY, TIME_ZONE, MergeCounts, Warehouse, WarehouseSettings

JOB = "load_source"

TARGETS = (schema.PRODUCTS, schema.USERS, schema.EVENTS)
"""The tables that rows are merged into, in this order: prices of new events are compared within the new products."""

IS_CHANGED = {
    schema.EVENTS.name: "t.content_hash <> s.content_hash",
    schema.PRODUCTS.name: "t.text_hash <> s.text_hash",
    schema.USERS.name: (
        "NOT (t.signup <=> s.signup AND t.country <=> s.country AND to_json(t.attributes) <=> to_json(s.attributes))"
    ),
}
"""When a row that is there is replaced: SQL on t (the table) and s (the source's row)."""

ROWS_OF = "rows of "
"""Beginning of the counts of rows that each source table had."""

OUTCOMES = ("read", "new", "changed", "ignored", "quarantined")


@dataclass(frozen=True)
class SourceFile:
    """A source's YAML, and where it was read from: its mistakes are reported with this name."""

    config: SourceConfig
    path: str
    root: str
    """The folder of the mapping's relative paths."""


@dataclass(frozen=True)
class LoadReport:
    """What became of a source's rows."""

    rows: pd.DataFrame
    """Numbers of rows: a line a table, a column each of ``OUTCOMES``."""
    quarantined: Mapping[str, int]
    """``table: reason`` -> rows."""
    warnings: tuple[str, ...]
    """What an operator should know, a sentence each."""


def load_source(warehouse: Warehouse, source: SourceFile, clock: datetime, request: RunRequest) -> LoadReport:
    """Load one source as of ``clock``; events later than that are in the future.

    Loading again changes nothing that is the same. An event whose content changed under its event_id is replaced and
    keeps its price stamps; where no event_id is mapped, other content is another event. Raises ExpectedError, before
    anything is written, for a mapping or source that is wrong, and RefusedError for one beyond its limits.
    """
    with open_run(warehouse, JOB, request, [INPUTS]) as run:
        with _mistakes_named(source.path):
            _check_settings(warehouse, source.config)
            check_tables(warehouse, merged=(*TARGETS, schema.QUARANTINE))
            properties = warehouse.properties(schema.EVENTS.name) if warehouse.exists(schema.EVENTS.name) else {}
            id_properties = event_id_properties(source.config, properties)
            mapped = read_source(warehouse.spark, source.config, source.root, clock, run.run_id)

        # One pass over the source maps its rows, decides which are good, and stages them.
        with run.step("read") as step, _mistakes_named(source.path):
            outcomes = _count_outcomes(mapped, source.config, step)
            last_rows = _rows_of_last_loads(warehouse, source.config)
            for sentence in load_limits.warnings(outcomes, source.config.limits, last_rows):
                run.warn(sentence)
            if refusals := load_limits.refusals(outcomes, source.config.limits, last_rows):
                raise RefusedError(f"{source.path}: nothing was loaded: {'; '.join(refusals)}")

        _ensure_tables(warehouse, source.config, id_properties)

        for table, rows in zip(TARGETS, (mapped.products, mapped.users, mapped.events), strict=True):
            with run.step(table.name) as step:
                good = run.counts[f"{table.name}_read"] - run.counts[f"{table.name}_quarantined"]
                new_rows = _with_price_stamps(warehouse, rows) if table is schema.EVENTS else rows
                merged = warehouse.merge(new_rows, table, IS_CHANGED[table.name]) if good else MergeCounts(0, 0)
                ignored = good - merged.inserted - merged.updated
                outcome = {"new": merged.inserted, "changed": merged.updated, "ignored": ignored}
                step.count(**{f"{table.name}_{name}": number for name, number in outcome.items()})

        if run.counts["events_new"]:
            with run.step("ids") as step:
                for sentence in _count_alike_ids(warehouse, outcomes, step):
                    run.warn(sentence)

        with run.step("quarantine"):
            if any(run.counts[f"{table.name}_quarantined"] for table in TARGETS):
                # A source that is read as a whole each night brings the same bad rows again: only new ones are added.
                bad_rows = mapped.quarantine.dropDuplicates(list(schema.QUARANTINE.key))
                warehouse.merge(bad_rows, schema.QUARANTINE, update_when=None)

        written = (*TARGETS, schema.QUARANTINE)
        run.versions_written.update({table.name: warehouse.version(table.name) for table in written})
        mapped.release()
    return _report(run.counts, run.warnings)


@contextmanager
def _mistakes_named(path: str) -> Iterator[None]:
    """Put the name of the YAML file before what is wrong with it."""
    try:
        yield
    except ExpectedError as error:
        raise ExpectedError(f"{path}: {error}") from None


def _check_settings(warehouse: Warehouse, source: SourceConfig) -> None:
    wanted = WarehouseSettings(source.currency, source.time_zone)
    if warehouse.exists(schema.EVENTS.name) and (settings := warehouse.settings()) != wanted:
        raise ExpectedError(
            f"the source is in {wanted.currency} and {wanted.time_zone}, but warehouse {warehouse.root} holds "
            f"{settings.currency} and {settings.time_zone}; load it into another warehouse"
        )


def _count_outcomes(mapped: Mapped, source: SourceConfig, step: Step) -> list[TableOutcome]:
    with read_errors_as_expected():
        outcomes = by_source_table(mapped.outcomes.collect(), source.source_tables)
    for each in outcomes:
        step.count(**{f"{ROWS_OF}{source.name}: {each.place}": each.rows})
    for table in (together(outcomes, target.name) for target in TARGETS):
        step.count(**{f"{table.target}_read": table.rows, f"{table.target}_quarantined": table.quarantined})
        step.count(**{f"{table.target}_quarantined_{reason}": number for reason, number in table.bad.items()})
        step.count(**{f"{table.target}_{name}": number for name, number in (table.ignored | table.notes).items()})
    return outcomes


def _rows_of_last_loads(warehouse: Warehouse, source: SourceConfig) -> dict[str, list[int]]:
    """The rows of each source table in the last loads that had it, by ``TableOutcome.place``."""
    if not warehouse.exists(schema.RUNS.name):
        return {}
    loads = warehouse.read(schema.RUNS.name).where((F.col("job") == JOB) & (F.col("status") == "done"))
    last = loads.orderBy("started_at", ascending=False).limit(load_limits.LAST_LOADS).select("counts").collect()
    prefix = f"{ROWS_OF}{source.name}: "
    rows: dict[str, list[int]] = {}
    for name, number in (count for load in last for count in load.counts.items() if count[0].startswith(prefix)):
        rows.setdefault(name.removeprefix(prefix), []).append(number)
    return rows


def _ensure_tables(warehouse: Warehouse, source: SourceConfig, id_properties: Mapping[str, str]) -> None:
    """Create the tables that are missing, and keep on ``events`` how the ids of this source are made."""
    settings = {CURRENCY: source.currency, TIME_ZONE: source.time_zone}
    warehouse.ensure(schema.EVENTS, settings | dict(id_properties))
    if not id_properties.items() <= warehouse.properties(schema.EVENTS.name).items():
        warehouse.set_properties(schema.EVENTS.name, id_properties)
    for table in (schema.PRODUCTS, schema.USERS, schema.QUARANTINE):
        warehouse.ensure(table)


def _with_price_stamps(warehouse: Warehouse, events: DataFrame) -> DataFrame:
    """New and changed events with their prices put into words; an event keeps the stamps it once got."""
    known = warehouse.read(schema.EVENTS.name)
    if warehouse.is_empty(schema.EVENTS.name):
        # Spark plans the stamps of a first load without what is known.
        known = known.limit(0)
    changed = changed_events(events, known).persist(StorageLevel.DISK_ONLY)
    return stamp(changed, known, warehouse.read(schema.PRODUCTS.name))


def _count_alike_ids(warehouse: Warehouse, outcomes: Sequence[TableOutcome], step: Step) -> list[str]:
    """Say how many ids differ only by case or form, where a load brought ids that can, and many events."""
    events, new = warehouse.read(schema.EVENTS.name), together(outcomes, schema.EVENTS.name)
    sentences = []
    for name, table in {"user_id": schema.USERS, "product_id": schema.PRODUCTS}.items():
        can_vary = any(each.notes.get(f"{VARIABLE}{name}") for each in outcomes)
        if not can_vary or new.good < load_limits.COUNTED_FROM * (rows := events.count()):
            continue
        ids = events.select(name).union(warehouse.read(table.name).select(name)).dropna()
        alike = alike_ids(ids, rows)
        step.count(**{f"alike_{name}s": alike.ids})
        sentences += load_limits.alike_warnings(name, alike)
    return sentences


def _report(counts: Mapping[str, int], warnings: Sequence[str]) -> LoadReport:
    rows = {table.name: [counts[f"{table.name}_{outcome}"] for outcome in OUTCOMES] for table in TARGETS}
    reasons = {name: number for name, number in counts.items() if "_quarantined_" in name}
    return LoadReport(
        pd.DataFrame.from_dict(rows, orient="index", columns=list(OUTCOMES)),
        {name.replace("_quarantined_", ": "): number for name, number in reasons.items()},
        tuple(warnings),
    )
