"""Build the training set: behaviour as of each date of the protocol, and what users did in the window after it."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.arguments import RunRequest
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.protocol import AnyProtocol, EventDays, training_dates
from ulvspark.contract.source.source import TRAINING_SET_META, SourceConfig, TrainingSetMeta
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.behaviour import build, measure_population
from ulvspark.history.days import local_day
from ulvspark.history.labels import label, training_rows
from ulvspark.history.numbers import NUMBERS_VERSION
from ulvspark.history.population import Population
from ulvspark.warehouse.lease import TRAINING
from ulvspark.warehouse.pinned import PinnedTables, pin
from ulvspark.warehouse.runs.opening import append_logged, open_run
from ulvspark.warehouse.runs.report import Step
from ulvspark.warehouse.runs.table_check import check_tables
from ulvspark.warehouse.settings import WarehouseSettings, read_settings
from ulvspark.warehouse.staging import staging_area
from ulvspark.warehouse.tables import Warehouse

JOB = "build_training_set"


def build_training_set(
    warehouse: Warehouse, source: SourceConfig, spec: HistorySpec, request: RunRequest, as_of: date | None = None
) -> TrainingSetMeta:
    """Write ``training_set`` (replaced as a whole) and, for each date, a row of ``populations`` under the same run id.

    No label window ends after ``as_of``, from which rolling dates are counted back. Raises ExpectedError when the
    source has no protocol, a date's label window reaches beyond the data, or the warehouse holds another source.
    """
    settings = read_settings(warehouse)
    with (
        open_run(warehouse, JOB, request, [TRAINING]) as run,
        staging_area(warehouse, run.run_id, run.warn) as staging,
    ):
        _check_settings(warehouse, settings, source)
        check_tables(warehouse, read=(schema.EVENTS, schema.PRODUCTS, schema.USERS), added_to=(schema.POPULATIONS,))
        inputs = pin(warehouse, schema.EVENTS, schema.PRODUCTS, schema.USERS)
        run.versions_read.update(inputs.versions)
        events = _event_days(inputs.read(schema.EVENTS), settings.time_zone)
        today = datetime.now(ZoneInfo(settings.time_zone)).date()
        protocol = training_dates(_protocol(source), events, today, as_of)
        meta = TrainingSetMeta(
            run_id=run.run_id,
            history_spec=spec,
            numbers=spec.numbers,
            numbers_version=NUMBERS_VERSION,
            protocol=protocol,
            currency=settings.currency,
            time_zone=settings.time_zone,
            data_versions=dict(inputs.versions),
        )

        staged, populations = staging.table(schema.TRAINING_SET), []
        for day in protocol.dates:
            with run.step(f"as of {day}") as step:
                populations.append(_stage_date(inputs, day, meta, staged, step))

        with run.step("publish"):
            # Populations first: a training set never stands without them.
            rows = [population.to_row(run.run_id) for population in populations]
            run.versions_written[schema.POPULATIONS.name] = append_logged(
                warehouse, run.run_id, schema.POPULATIONS, rows
            )
            properties = {TRAINING_SET_META: meta.model_dump_json()}
            run.versions_written[schema.TRAINING_SET] = warehouse.replace(
                warehouse.read(staged), schema.TRAINING_SET, properties, partition_by=("as_of_date",)
            )
    return meta


def _check_settings(warehouse: Warehouse, settings: WarehouseSettings, source: SourceConfig) -> None:
    if settings != WarehouseSettings(source.currency, source.time_zone):
        raise ExpectedError(
            f"source {source.name} is in {source.currency} and {source.time_zone}, but warehouse {warehouse.root} "
            f"holds {settings.currency} and {settings.time_zone}; give the source that was loaded into it"
        )


def _protocol(source: SourceConfig) -> AnyProtocol:
    if source.protocol is None:
        raise ExpectedError(
            f"source {source.name} has no protocol, which says on which dates to train; add one to its YAML, such as "
            "protocol: {horizon_days: 91, origin_every_days: 30, origins: 6}"
        )
    return source.protocol


def _event_days(events: DataFrame, time_zone: str) -> EventDays:
    day = local_day("event_time", time_zone)
    [(first, last)] = events.agg(F.date_from_unix_date(F.min(day)), F.date_from_unix_date(F.max(day))).collect()
    if last is None:
        raise ExpectedError("the table events is empty; load a source first")
    return EventDays(first, last)


def _stage_date(inputs: PinnedTables, as_of: date, meta: TrainingSetMeta, staged: str, step: Step) -> Population:
    """Add the rows of one date to the table ``staged``; the population is measured on everyone, eligible or not."""
    warehouse, zone = inputs.warehouse, meta.time_zone
    events, products, users = map(inputs.read, (schema.EVENTS, schema.PRODUCTS, schema.USERS))
    behaviour = build(events, products, users, as_of, meta.history_spec, zone).persist(StorageLevel.DISK_ONLY)
    labels = label(events, as_of, meta.protocol.horizon_days, zone)
    rows = training_rows(behaviour, labels).withColumn("run_id", F.lit(meta.run_id))
    warehouse.append(rows, staged)
    population = measure_population(behaviour, meta.history_spec)
    behaviour.unpersist()
    written = warehouse.read(staged).where(F.col("as_of_date") == F.lit(as_of))
    [(number, churned, spend)] = written.agg(F.count("*"), F.avg("churned"), F.avg("spend")).collect()
    step.count(**{f"eligible_users_{as_of}": number})
    step.measure({f"churned_share_{as_of}": churned, f"mean_spend_{as_of}": spend} if number else {})
    return population
