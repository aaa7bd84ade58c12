"""Load a company's tables into the warehouse: ``events``, ``products``, ``users``, and ``quarantine`` for bad rows.

    spark-submit jobs/load_source.py --source conf/sources/my_shop.yaml --source-root DIR --warehouse ROOT

Loading again changes nothing that is the same. An event whose content changed under its event_id is replaced and keeps
its price stamps; where no event_id is mapped, other content is another event.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.storagelevel import StorageLevel

from ulvspark.contract import schema
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.contract.source import SourceConfig
from ulvspark.intake.identity import event_id_properties
from ulvspark.intake.price_stamps import changed_events, stamp
from ulvspark.intake.quarantine import IGNORED
from ulvspark.intake.sources import Mapped, read_errors_as_expected, read_source
from ulvspark.warehouse.runs import RunLog, Stage, new_run_id
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import CURRENCY, TIME_ZONE, Warehouse, WarehouseSettings

TARGETS = (schema.PRODUCTS, schema.USERS, schema.EVENTS)

CHANGED = {
    schema.EVENTS.name: "t.content_hash <> s.content_hash",
    schema.PRODUCTS.name: "t.text_hash <> s.text_hash",
    schema.USERS.name: (
        "NOT (t.signup <=> s.signup AND t.country <=> s.country AND to_json(t.attributes) <=> to_json(s.attributes))"
    ),
}
"""When a known row is replaced, in the terms of ``Warehouse.merge``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Load one source.

    Raises ExpectedError, before anything is written, for a mapping or source that is wrong.
    """
    args = parser().parse_args(argv)
    source, clock = load_config(SourceConfig, args.source), _clock(args.clock)
    warehouse = Warehouse(get_session("load_source", args.warehouse), args.warehouse)
    run_id = new_run_id("load_source")
    with _naming(args.source):
        _check_settings(warehouse, source)
        known = warehouse.properties(schema.EVENTS.name) if warehouse.exists(schema.EVENTS.name) else {}
        made = event_id_properties(source, known)
        mapped = read_source(warehouse.spark, source, args.source_root, clock, run_id)
    with RunLog(warehouse, "load_source", run_id) as run:
        with run.stage("read") as stage, _naming(args.source):
            _count_outcomes(mapped, stage)
        _ensure_tables(warehouse, source, made)
        for target, frame in zip(TARGETS, (mapped.products, mapped.users, mapped.events), strict=True):
            _merge(run, target, frame)
        with run.stage("quarantine"):
            # Only what is new: a source that is read as a whole each night brings the same bad rows again.
            bad_rows = mapped.quarantine.dropDuplicates(list(schema.QUARANTINE.key))
            warehouse.merge(bad_rows, schema.QUARANTINE, update_when=None)
        run.versions_written.update(
            {table.name: warehouse.version(table.name) for table in (*TARGETS, schema.QUARANTINE)}
        )
        mapped.release()
    _show(source, warehouse, run.counts)
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(prog="load_source", description=(__doc__ or "").splitlines()[0])
    arguments.add_argument(
        "--source", required=True, metavar="YAML", help="the data set's mapping, conf/sources/*.yaml"
    )
    arguments.add_argument("--source-root", required=True, metavar="DIR", help="where the mapping's relative paths lie")
    arguments.add_argument(
        "--warehouse", required=True, metavar="ROOT", help="a folder, s3a://..., or catalog:database"
    )
    arguments.add_argument(
        "--clock", metavar="ISO", help="the load's time; later events are in the future (default: now)"
    )
    return arguments


def _clock(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ExpectedError(f"--clock {text!r} is not a time; write it as 2026-01-31T00:00:00 (UTC)") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Put the YAML file's name before what is wrong with it."""
    try:
        yield
    except ExpectedError as error:
        raise ExpectedError(f"{path}: {error}") from None


def _check_settings(warehouse: Warehouse, source: SourceConfig) -> None:
    wanted = WarehouseSettings(source.currency, source.time_zone)
    if warehouse.exists(schema.EVENTS.name) and (found := warehouse.settings()) != wanted:
        raise ExpectedError(
            f"the source is in {wanted.currency} and {wanted.time_zone}, but warehouse {warehouse.root} holds "
            f"{found.currency} and {found.time_zone}; load it into another warehouse"
        )


def _count_outcomes(mapped: Mapped, stage: Stage) -> None:
    """One pass over the source, which also stages its rows."""
    with read_errors_as_expected():
        rows = mapped.outcomes.collect()
    for table in TARGETS:
        of_table = {row["outcome"]: int(row["rows"]) for row in rows if row["target"] == table.name}
        bad = {reason: n for reason, n in of_table.items() if reason is not None and reason not in IGNORED}
        stage.count(f"{table.name}_read", sum(of_table.values()))
        stage.count(f"{table.name}_quarantined", sum(bad.values()))
        for reason, n in sorted(bad.items()):
            stage.count(f"{table.name}_quarantined_{reason}", n)
        for outcome in IGNORED:
            if outcome in of_table:
                stage.count(f"{table.name}_{outcome}", of_table[outcome])


def _ensure_tables(warehouse: Warehouse, source: SourceConfig, made: Mapping[str, str]) -> None:
    warehouse.ensure(schema.EVENTS, {CURRENCY: source.currency, TIME_ZONE: source.time_zone, **made})
    if not made.items() <= warehouse.properties(schema.EVENTS.name).items():
        warehouse.set_properties(schema.EVENTS.name, made)
    for table in (schema.PRODUCTS, schema.USERS, schema.QUARANTINE):
        warehouse.ensure(table)


def _merge(run: RunLog, target: schema.Table, frame: DataFrame) -> None:
    name = target.name
    with run.stage(name) as stage:
        rows = _stamped(run.warehouse, frame) if target is schema.EVENTS else frame
        merged = run.warehouse.merge(rows, target, CHANGED[name])
        good = run.counts[f"{name}_read"] - run.counts[f"{name}_quarantined"]
        stage.count(f"{name}_new", merged.inserted)
        stage.count(f"{name}_changed", merged.updated)
        stage.count(f"{name}_ignored", good - merged.inserted - merged.updated)


def _stamped(warehouse: Warehouse, events: DataFrame) -> DataFrame:
    known = warehouse.read(schema.EVENTS.name)
    changed = changed_events(events, known).persist(StorageLevel.DISK_ONLY)
    return stamp(changed, known, warehouse.read(schema.PRODUCTS.name))


def _show(source: SourceConfig, warehouse: Warehouse, counts: Mapping[str, int]) -> None:
    print(f"\n{source.name} -> {warehouse.root}")
    outcomes = ("read", "new", "changed", "ignored", "quarantined")
    print(f"{'':10}{''.join(f'{outcome:>13}' for outcome in outcomes)}")
    for table in TARGETS:
        rows = (counts[f"{table.name}_{outcome}"] for outcome in outcomes)
        print(f"{table.name:10}{''.join(f'{n:13,}' for n in rows)}")
    for name, n in counts.items():
        if "_quarantined_" in name:
            print(f"  {name.replace('_quarantined_', ': ')}: {n:,}")


if __name__ == "__main__":
    run_as_job(main)
