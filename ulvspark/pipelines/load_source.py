"""Load a company's tables into ``events``, ``products`` and ``users``; rows that cannot be right go to quarantine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.arguments import RunRequest
from ulvspark.contract.errors import ExpectedError, RefusedError
from ulvspark.contract.source.source import SourceConfig
from ulvspark.intake.failures import read_errors_as_expected
from ulvspark.intake.judging import load_limits
from ulvspark.intake.judging.alike_ids import alike_ids
from ulvspark.intake.judging.identity import event_id_properties
from ulvspark.intake.judging.notes import VARIABLE
from ulvspark.intake.judging.outcomes import TableOutcome, by_source_table, together
from ulvspark.intake.merging import PRICE_SUMS, merge_rows
from ulvspark.intake.sources import MappedSource, SourceRows, map_source, read_source
from ulvspark.intake.vanished import handle_vanished
from ulvspark.warehouse.changes.running_sums import bring_sums_up_to_date
from ulvspark.warehouse.changes.source_reads import last_reads, save_reads
from ulvspark.warehouse.keyed_writes import merge
from ulvspark.warehouse.lease import INPUTS
from ulvspark.warehouse.runs.opening import open_run
from ulvspark.warehouse.runs.report import RunLog, Step
from ulvspark.warehouse.runs.table_check import check_tables
from ulvspark.warehouse.settings import CURRENCY, TIME_ZONE, WarehouseSettings, read_settings
from ulvspark.warehouse.tables import Warehouse

JOB = "load_source"

TARGETS = (schema.PRODUCTS, schema.USERS, schema.EVENTS)
"""The tables that rows are merged into, in this order: prices of new events are compared within the new products."""

ROWS_OF = "rows of "
"""Beginning of the counts of rows that each source table had, where it was read as a whole."""

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

    def __str__(self) -> str:
        table = self.rows.map("{:,}".format).to_string(col_space=12)
        reasons = [f"  {reason}: {number:,}" for reason, number in self.quarantined.items()]
        return "\n".join([table, *reasons, *self.warnings])


def load_source(
    warehouse: Warehouse, source: SourceFile, clock: datetime, request: RunRequest, full: bool = False
) -> LoadReport:
    """Load one source as of ``clock``; events later than that are in the future.

    Tables that the mapping reads incrementally are read as a whole with ``full``, the first time, and where what is new
    cannot be known; ``full`` also finds the rows of the warehouse that the source no longer has.

    Loading again changes nothing that is the same. An event whose content changed under its event_id is replaced and
    keeps its price stamps; where no event_id is mapped, other content is another event. Raises ExpectedError, before
    anything is written, for a mapping or source that is wrong, and RefusedError for one beyond its limits.
    """
    with open_run(warehouse, JOB, request, [INPUTS]) as run:
        with mistakes_named(source.path):
            _check_settings(warehouse, source.config)
            check_tables(warehouse, merged=(*TARGETS, schema.QUARANTINE, schema.PRICE_DAYS, schema.SOURCE_READS))
            properties = warehouse.properties(schema.EVENTS.name) if warehouse.exists(schema.EVENTS.name) else {}
            id_properties = event_id_properties(source.config, properties)
            last = None if full else last_reads(warehouse, source.config.name)
            mapped = map_source(warehouse.spark, source.config, source.root, clock, last)

        # One pass over the source maps its rows, decides which are good, and stages them.
        with run.step("read") as step, mistakes_named(source.path), read_errors_as_expected(mapped.tables):
            rows = read_source(mapped, run.run_id)
            outcomes = _count_outcomes(rows, source.config, mapped, step)
        _check_limits(run, source, mapped, outcomes)

        _ensure_tables(warehouse, source.config, id_properties)

        for table, good_rows in zip(TARGETS, (rows.products, rows.users, rows.events), strict=True):
            with run.step(table.name) as step:
                good = run.counts[f"{table.name}_read"] - run.counts[f"{table.name}_quarantined"]
                merged = merge_rows(warehouse, source.config, table, good_rows, good)
                ignored = good - merged.inserted - merged.updated
                outcome = {"new": merged.inserted, "changed": merged.updated, "ignored": ignored}
                step.count(**{f"{table.name}_{name}": number for name, number in outcome.items()})

        with run.step("vanished") as step:
            step.count(**handle_vanished(warehouse, source.config, mapped, rows, full, run.warn))

        with run.step("prices"):
            bring_sums_up_to_date(PRICE_SUMS, warehouse)

        if run.counts["events_new"]:
            with run.step("ids") as step:
                for sentence in _count_alike_ids(warehouse, outcomes, step):
                    run.warn(sentence)

        with run.step("quarantine"):
            if any(run.counts[f"{table.name}_quarantined"] for table in TARGETS):
                # A source that is read as a whole each night brings the same bad rows again: only new ones are added.
                bad_rows = rows.quarantine.dropDuplicates(list(schema.QUARANTINE.key))
                merge(warehouse, bad_rows, schema.QUARANTINE, update_when=None)

        # Only now is it known as read: a load that was killed before reads the same again.
        save_reads(warehouse, source.config.name, mapped.reads, run.run_id, clock)

        written = (*TARGETS, schema.QUARANTINE)
        run.versions_written.update({table.name: warehouse.version(table.name) for table in written})
        rows.release()
    return _report(run.counts, run.warnings)


@contextmanager
def mistakes_named(path: str) -> Iterator[None]:
    """Put the name of the YAML file before what is wrong with it."""
    try:
        yield
    except ExpectedError as error:
        raise ExpectedError(f"{path}: {error}") from None


def _check_settings(warehouse: Warehouse, source: SourceConfig) -> None:
    wanted = WarehouseSettings(source.currency, source.time_zone)
    if warehouse.exists(schema.EVENTS.name) and (settings := read_settings(warehouse)) != wanted:
        raise ExpectedError(
            f"the source is in {wanted.currency} and {wanted.time_zone}, but warehouse {warehouse.root} holds "
            f"{settings.currency} and {settings.time_zone}; load it into another warehouse"
        )


def _count_outcomes(rows: SourceRows, source: SourceConfig, mapped: MappedSource, step: Step) -> list[TableOutcome]:
    outcomes = by_source_table(rows.outcomes.collect(), source.source_tables)
    for each in outcomes:
        if each.target in mapped.whole_tables:
            step.count(**{f"{ROWS_OF}{source.name}: {each.place}": each.rows})
    for table in (together(outcomes, target.name) for target in TARGETS):
        step.count(**{f"{table.target}_read": table.rows, f"{table.target}_quarantined": table.quarantined})
        step.count(**{f"{table.target}_quarantined_{reason}": number for reason, number in table.bad.items()})
        step.count(**{f"{table.target}_{name}": number for name, number in (table.ignored | table.notes).items()})
    return outcomes


def _check_limits(run: RunLog, source: SourceFile, mapped: MappedSource, outcomes: Sequence[TableOutcome]) -> None:
    """Report what an operator should know of this load. Raises RefusedError where it is beyond the source's limits."""
    limits, last = source.config.limits, _rows_of_last_loads(run.warehouse, source.config)
    # Tables of which only what is new was read are not compared: that is more on one day than on another.
    last = {place: rows for place, rows in last.items() if place.partition(" ")[0] in mapped.whole_tables}
    for sentence in load_limits.warnings(outcomes, limits, last):
        run.warn(sentence)
    if refusals := load_limits.refusals(outcomes, limits, last):
        raise RefusedError(f"{source.path}: nothing was loaded: {'; '.join(refusals)}")


def _rows_of_last_loads(warehouse: Warehouse, source: SourceConfig) -> dict[str, list[int]]:
    """The rows of each source table in the last loads that had it, by ``TableOutcome.place``."""
    rows: dict[str, list[int]] = {f"{target} from {table}": [] for target, table in source.source_tables}
    if not warehouse.exists(schema.EVENTS.name):
        return rows
    loads = warehouse.read(schema.RUNS.name).where((F.col("job") == JOB) & (F.col("status") == "done"))
    last = loads.orderBy("started_at", ascending=False).limit(load_limits.LAST_LOADS).select("counts").collect()
    prefix = f"{ROWS_OF}{source.name}: "
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
