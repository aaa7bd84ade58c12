"""Build the training set: behaviour as of each date of the protocol, and what users did in the window after it.

    spark-submit jobs/build_training_set.py --source conf/sources/my_shop.yaml --history conf/history.yaml \\
        --warehouse ROOT

Writes ``training_set`` (replaced as a whole) and, for each date, a row of ``populations`` under the same run id.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from ulvspark.contract import schema
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.contract.source import TRAINING_SET_META, Protocol, SourceConfig, TrainingSetMeta
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.behaviour import build, measure_population
from ulvspark.history.days import local_day
from ulvspark.history.labels import label, training_rows
from ulvspark.history.numbers import NUMBERS_VERSION
from ulvspark.history.population import Population
from ulvspark.warehouse.publish import staging
from ulvspark.warehouse.runs import RunLog, new_run_id
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import Warehouse, WarehouseSettings

SOURCES = (schema.EVENTS.name, schema.PRODUCTS.name, schema.USERS.name)


@dataclass(frozen=True)
class Tables:
    """The source tables at the versions that the run reads."""

    events: DataFrame
    products: DataFrame
    users: DataFrame


def main(argv: Sequence[str] | None = None) -> int:
    """Build ``training_set``; raises ExpectedError when a date's label window reaches beyond the data."""
    args = parser().parse_args(argv)
    source, spec = load_config(SourceConfig, args.source), load_config(HistorySpec, args.history)
    warehouse = Warehouse(get_session("build_training_set", args.warehouse), args.warehouse)
    settings, run_id = warehouse.settings(), new_run_id("build_training_set")
    with (
        RunLog(warehouse, "build_training_set", run_id) as run,
        staging(warehouse, schema.TRAINING_SET, run_id) as staged,
    ):
        _check_settings(settings, source, args)
        run.versions_read.update({name: warehouse.version(name) for name in SOURCES})
        tables = Tables(*(warehouse.read(name, run.versions_read[name]) for name in SOURCES))
        _check_windows_closed(source.protocol, tables.events, settings.time_zone)
        meta = TrainingSetMeta(
            run_id=run_id,
            history_spec=spec,
            numbers=spec.numbers,
            numbers_version=NUMBERS_VERSION,
            protocol=source.protocol,
            currency=settings.currency,
            time_zone=settings.time_zone,
            data_versions=run.versions_read,
        )
        populations = [_stage_date(warehouse, tables, as_of, meta, run, staged) for as_of in source.protocol.dates]
        _publish(warehouse, populations, meta, run, staged)
    print(f"training set of {len(populations)} dates in {warehouse.root}, run {run_id}")
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(prog="build_training_set", description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--source", required=True, metavar="YAML", help="the data set, for its protocol of dates")
    arguments.add_argument(
        "--history",
        default="conf/history.yaml",
        metavar="YAML",
        help="what is computed of a user (default: %(default)s)",
    )
    arguments.add_argument(
        "--warehouse", required=True, metavar="ROOT", help="a folder, s3a://..., or catalog:database"
    )
    return arguments


def _check_settings(found: WarehouseSettings, source: SourceConfig, args: argparse.Namespace) -> None:
    if found != WarehouseSettings(source.currency, source.time_zone):
        raise ExpectedError(
            f"{args.source} is in {source.currency} and {source.time_zone}, but warehouse {args.warehouse} holds "
            f"{found.currency} and {found.time_zone}; give the source that was loaded into it"
        )


def _check_windows_closed(protocol: Protocol, events: DataFrame, time_zone: str) -> None:
    """The day of the newest event counts as complete: a window may end with it."""
    [(last_day,)] = events.agg(F.date_from_unix_date(F.max(local_day("event_time", time_zone)))).collect()
    if last_day is None:
        raise ExpectedError("the table events is empty; load a source first")
    for as_of in protocol.dates:
        if protocol.closes(as_of) > last_day + timedelta(days=1):
            raise ExpectedError(
                f"the {protocol.horizon_days} days from {as_of} reach to {protocol.closes(as_of)}, but the data end on "
                f"{last_day}; move the date or shorten the horizon in the source's protocol"
            )


def _stage_date(
    warehouse: Warehouse, tables: Tables, as_of: date, meta: TrainingSetMeta, run: RunLog, staged: str
) -> Population:
    """Add one date's rows to the staging table; the population is measured on everyone, eligible or not."""
    spec, zone = meta.history_spec, meta.time_zone
    step = f"as of {as_of}"
    with run.stage(step) as stage:
        behaviour = build(tables.events, tables.products, tables.users, as_of, spec, zone)
        behaviour = behaviour.persist(StorageLevel.DISK_ONLY)
        labels = label(tables.events, as_of, meta.protocol.horizon_days, zone)
        rows = training_rows(behaviour, labels).withColumn("run_id", F.lit(meta.run_id))
        warehouse.append(rows, staged)
        population = measure_population(behaviour, spec)
        behaviour.unpersist()
        written = warehouse.read(staged).where(F.col("as_of_date") == F.lit(as_of))
        [(users, churned, spend)] = written.agg(F.count("*"), F.avg("churned"), F.avg("spend")).collect()
        stage.count(f"eligible_users_{as_of}", users)
    seconds = run.seconds[step]
    print(f"{as_of}: {users:,} eligible users, {churned:.1%} churned, mean spend {spend:,.2f}, {seconds:.1f} s")
    return population


def _publish(
    warehouse: Warehouse, populations: Sequence[Population], meta: TrainingSetMeta, run: RunLog, staged: str
) -> None:
    """Populations first: a training set never stands without them."""
    with run.stage("publish"):
        warehouse.ensure(schema.POPULATIONS)
        rows = [tuple(each.to_row(meta.run_id)[name] for name in schema.POPULATIONS.names) for each in populations]
        frame = warehouse.spark.createDataFrame(rows, schema.POPULATIONS.ddl)
        run.versions_written[schema.POPULATIONS.name] = warehouse.append(frame, schema.POPULATIONS.name)
        run.versions_written[schema.TRAINING_SET] = warehouse.replace(
            warehouse.read(staged),
            schema.TRAINING_SET,
            {TRAINING_SET_META: meta.model_dump_json()},
            partition_by=("as_of_date",),
        )


if __name__ == "__main__":
    run_as_job(main)
