"""A night: score every user as of a date and publish the scores, once they are verified."""

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.arguments import RunRequest
from ulvspark.contract.config import Strict
from ulvspark.contract.errors import ExpectedError, RefusedError
from ulvspark.history import behaviour
from ulvspark.history.days import local_day
from ulvspark.model.bundle.manifest import Manifest, check_currency
from ulvspark.model.bundle.store.interface import Store
from ulvspark.model.predictor import Predictor
from ulvspark.pipelines.night_vectors import (
    fill_text_cache,
    fill_user_cache,
    remove_unused_vectors,
    report_cache,
    ship_texts,
)
from ulvspark.scoring import tiers
from ulvspark.scoring.decide import decide
from ulvspark.scoring.encode import EncodeConfig
from ulvspark.scoring.migration import migrate
from ulvspark.scoring.score_rows import ScoreFacts, score_rows
from ulvspark.scoring.workers import ShippedModel, ship_bundle
from ulvspark.warehouse.changes.incremental import DerivedTable, bring_up_to_date
from ulvspark.warehouse.lease import SCORES
from ulvspark.warehouse.pinned import PinnedTables, pin
from ulvspark.warehouse.publishing.gates import GateConfig, failed_gates, figures, night_before
from ulvspark.warehouse.publishing.publish import PUBLISHED, publish, record_publication
from ulvspark.warehouse.publishing.verify import VerifyLimits, verify
from ulvspark.warehouse.runs.opening import append_logged, open_run
from ulvspark.warehouse.runs.report import RunLog
from ulvspark.warehouse.runs.table_check import check_tables
from ulvspark.warehouse.session import peak_memory_gb, shuffled_bytes
from ulvspark.warehouse.settings import read_settings
from ulvspark.warehouse.staging import StagingArea, staging_area
from ulvspark.warehouse.tables import Warehouse
from ulvspark.warehouse.vector_cache import RetentionConfig

logger = logging.getLogger(__name__)

JOB = "score_users"


class ScoreConfig(Strict):
    """``conf/score.yaml``."""

    encode: EncodeConfig
    retention: RetentionConfig
    verification: VerifyLimits
    gates: GateConfig


def score_users(  # noqa: PLR0915 - the whole story of a night, read from top to bottom
    warehouse: Warehouse,
    store: Store,
    model: str,
    as_of: date,
    config: ScoreConfig,
    decision: tiers.TierDecision,
    request: RunRequest,
    accept_change: bool = False,
) -> None:
    """Score everyone as of ``as_of`` with the bundle ``model`` of ``store``, and publish.

    Running a date again leaves one copy of its scores, and encodes only what changed. Raises RefusedError when
    verification or a gate refuses the scores, ``accept_change`` opening the gates for this once; the published tables
    then stay as they were. Raises ExpectedError for bad input.
    """
    settings = read_settings(warehouse)
    _check_not_in_future(as_of, settings.time_zone)
    with (
        open_run(warehouse, JOB, request, [SCORES], as_of) as run,
        TemporaryDirectory() as scratch,
        staging_area(warehouse, run.run_id, run.warn) as staging,
    ):
        check_tables(
            warehouse,
            read=(schema.EVENTS, schema.PRODUCTS, schema.USERS, tiers.TIERS_BY_DATE),
            added_to=(schema.POPULATIONS, schema.TEXT_VECTORS, schema.USER_VECTORS, schema.PUBLICATIONS),
            replaced=PUBLISHED,
        )
        with run.step("bundle"):
            folder = store.fetch(model, Path(scratch))
            manifest = _tested_manifest(folder, run)
            check_currency(manifest, settings.currency)
            tiers.check_fits(decision, manifest)
            shipped = ShippedModel(ship_bundle(warehouse.spark.sparkContext, folder, manifest.version))

        # The company's tables are read at these versions from here to the end.
        inputs = pin(warehouse, schema.EVENTS, schema.PRODUCTS, schema.USERS)
        run.versions_read.update(inputs.versions)

        # One row a user: the numbers as of the date, the recent events, and their hash.
        everyone = _stage_behaviour(run, staging, inputs, as_of, manifest, settings.time_zone)

        with run.step("population"):
            population = behaviour.measure_population(everyone, manifest.history)
            rows = [population.to_row(run.run_id)]
            run.versions_written[schema.POPULATIONS.name] = append_logged(
                warehouse, run.run_id, schema.POPULATIONS, rows
            )

        # BERT reads the texts that no night has read yet (unit `event`).
        text_cache = None
        if manifest.text_encoder_version is not None:
            with run.step("texts") as step:
                text_cache = fill_text_cache(
                    everyone, inputs, shipped, manifest.text_encoder_version, config.encode, step
                )
                shipped = ship_texts(text_cache, shipped, run.run_id)
            report_cache(run, text_cache)

        # Users whose recent events changed get a new vector.
        user_cache = None
        if manifest.network.use_text:
            with run.step("encode") as step:
                user_cache = fill_user_cache(
                    everyone, warehouse, shipped, manifest.user_encoder_version, config.encode, step
                )
            report_cache(run, user_cache)

        # Vectors and tonight's numbers become predictions, and these become tiers, for everyone.
        vectors = None if user_cache is None else user_cache.cache.vectors()
        decided = decide(everyone, vectors, population, manifest.history, shipped.bundle)
        if decision.quotas is not None:
            # Quotas read everyone's value before anybody gets a tier; the model must not run twice for that.
            with run.step("predict"):
                decided = staging.write("decided", decided)
        previous_scores = _pin_previous_scores(run, warehouse)
        previous = tiers.previous_tiers(previous_scores.read(schema.SCORES_HISTORY).where(F.col("as_of_date") < as_of))
        with run.step("decide"):
            tiered = tiers.assign(decided, previous, manifest.tiers, population.platform_scale, decision)
            facts = ScoreFacts(
                as_of,
                manifest.horizon_days,
                settings.currency,
                manifest.version,
                run.run_id,
                scored_at=datetime.now(UTC),
            )
            scores = staging.write("scores", score_rows(tiered, facts))

        with run.step("verify") as step:
            users, heads = run.counts["users"], manifest.network.heads
            verified = verify(scores, users, heads, manifest.tiers.names, config.verification)
            step.measure(verified.shares)
        with run.step("gates"):
            before = night_before(previous_scores.read(schema.SCORES_HISTORY), as_of)
            newest_event = _newest_event(inputs.read(schema.EVENTS), as_of, settings.time_zone, config.gates)
            failed = failed_gates(figures(scores, as_of), before, newest_event, config.gates)
            _refuse_or_accept(run, verified.failures, failed, accept_change)
        with run.step("migration") as step:
            migration = migrate(scores, previous)
            step.count(**migration.counts())
            step.measure(migration.metrics())
        with run.step("publish"):
            published = publish(warehouse, scores, as_of, run.lease_numbers[SCORES])
            run.versions_written.update(published)
            record_publication(warehouse, run.run_id, JOB, as_of, published)

        # The night is done: what fails from here on is a warning.
        with (
            run.only_warns("the caches of vectors were not cleared of what is not used"),
            run.step("retention") as step,
        ):
            caches = [cache for cache in (text_cache, user_cache) if cache is not None]
            remove_unused_vectors(warehouse, manifest, caches, schema.SCORES.name in published, config.retention, step)
        with run.only_warns("what the night took was not measured"), run.step("resources") as step:
            spark = warehouse.spark
            step.measure({"bytes_shuffled": float(shuffled_bytes(spark)), "peak_memory_gb": peak_memory_gb(spark)})


def _check_not_in_future(as_of: date, time_zone: str) -> None:
    """``ulv_scores`` takes a later date only, so a date in the future would block it until that date has passed."""
    today = datetime.now(ZoneInfo(time_zone)).date()
    if as_of > today:
        raise ExpectedError(f"--as-of {as_of} is in the future, today is {today} in {time_zone}; correct it")


def _newest_event(events: DataFrame, as_of: date, time_zone: str, gates: GateConfig) -> date | None:
    """The local day of the newest event before ``as_of``; files of old events are read only if there is no new one."""
    day = F.date_from_unix_date(local_day("event_time", time_zone))
    midnight = datetime.combine(as_of, time.min, ZoneInfo(time_zone))
    before = events.where(F.col("event_time") < F.lit(midnight))
    fresh = before.where(F.col("event_time") >= F.lit(midnight - timedelta(days=gates.max_event_age_days + 1)))
    for candidates in (fresh, before):
        newest: date | None = candidates.agg(F.max(day)).collect()[0][0]
        if newest is not None:
            return newest
    return None


def _refuse_or_accept(run: RunLog, faults: Sequence[str], failed_gates: Sequence[str], accept_change: bool) -> None:
    """Raises RefusedError that names everything that failed, unless it is gates alone and their change is accepted."""
    if faults or (failed_gates and not accept_change):
        advice = "" if faults else " (if this is right, publish it once with --accept-change)"
        raise RefusedError(f"scores not published: {'; '.join([*faults, *failed_gates])}{advice}")
    for gate in failed_gates:
        run.warn(f"accepted by --accept-change: {gate}")


def _tested_manifest(folder: Path, run: RunLog) -> Manifest:
    """The manifest of a bundle that scores its golden users as it did when it was made."""
    predictor = Predictor.load(folder)
    run.model_version = predictor.manifest.version
    predictor.self_test()
    return predictor.manifest


def _stage_behaviour(
    run: RunLog, staging: StagingArea, inputs: PinnedTables, as_of: date, manifest: Manifest, time_zone: str
) -> DataFrame:
    """Behaviour as of the date: from events where whole histories are read as text, else from timelines."""
    spec = manifest.history
    if manifest.network.use_text and manifest.network.unit == "history":
        events, products, users = map(inputs.read, (schema.EVENTS, schema.PRODUCTS, schema.USERS))
        rows = behaviour.build(events, products, users, as_of, spec, time_zone)
    else:
        timelines = _update_timelines(run, inputs, time_zone)
        rows = behaviour.build_from_timelines(timelines, inputs.read(schema.PRODUCTS), as_of, spec)
    with run.step("behaviour") as step:
        everyone = staging.write("behaviour", rows)
        counts = (F.count("user_id"), F.count("history_hash"), F.count_if(~F.col("exact")))
        number, scored, inexact = everyone.agg(*counts).collect()[0]
        step.count(users=number, scored=scored, no_history=number - scored, inexact_sums=inexact)
    if inexact:
        logger.warning("%d users have amounts or quantities whose sums are too large to be right: no score", inexact)
    return everyone


def _update_timelines(run: RunLog, inputs: PinnedTables, time_zone: str) -> DataFrame:
    """The table ``timelines``, brought up to date: only users who did something get a new row."""
    derived = DerivedTable(
        table=schema.TIMELINES,
        sources=(schema.EVENTS, schema.USERS),
        build=partial(behaviour.timelines, time_zone=time_zone),
        layout=schema.PACKED | {"meaning": schema.PACKED_MEANING, "time_zone": time_zone},
    )
    with run.step("timelines") as step:
        updated = bring_up_to_date(derived, inputs, run.run_id)
        step.count(timelines_built=updated.keys_built)
    run.versions_read[schema.TIMELINES.name] = updated.version
    return inputs.warehouse.read(schema.TIMELINES.name, updated.version)


def _pin_previous_scores(run: RunLog, warehouse: Warehouse) -> PinnedTables:
    warehouse.ensure(schema.SCORES_HISTORY)
    pinned = pin(warehouse, schema.SCORES_HISTORY)
    run.versions_read.update(pinned.versions)
    return pinned
