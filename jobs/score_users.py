"""Score every user as of a date and publish the scores, once they are verified.

    spark-submit jobs/score_users.py --as-of DATE --warehouse ROOT --models ROOT --model champion \
        --config conf/score.yaml --tiers conf/tiers.yaml

Running a date again leaves one copy of its scores, and encodes only histories that changed.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.config import Strict, load_config, parse_date
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.history import behaviour
from ulvspark.history.population import Population
from ulvspark.model.bundle.manifest import Manifest, check_currency
from ulvspark.model.bundle.store import open_store
from ulvspark.model.predictor import Predictor
from ulvspark.scoring import texts, tiers
from ulvspark.scoring.decide import decide
from ulvspark.scoring.encode import EncodeConfig, encode, known_vectors, with_known
from ulvspark.scoring.migration import migrate
from ulvspark.scoring.score_rows import ScoreFacts, score_rows
from ulvspark.scoring.sizing import sizing
from ulvspark.scoring.throughput import Throughput
from ulvspark.scoring.workers import ship
from ulvspark.warehouse.incremental import Derived, bring_up_to_date
from ulvspark.warehouse.publish import drop_left_behind, publish, staging
from ulvspark.warehouse.retention import RetentionConfig, forget_stale, forget_unused
from ulvspark.warehouse.runs import RunLog, new_run_id
from ulvspark.warehouse.session import get_session, peak_memory_gb, shuffled_bytes
from ulvspark.warehouse.tables import Warehouse, WarehouseSettings
from ulvspark.warehouse.verify import VerifyLimits, verify

JOB = "score_users"
logger = logging.getLogger(JOB)


class ScoreConfig(Strict):
    """``conf/score.yaml``."""

    encode: EncodeConfig
    retention: RetentionConfig
    verification: VerifyLimits


@dataclass(frozen=True)
class Scoring:
    """What every step of a run needs to know."""

    run: RunLog
    warehouse: Warehouse
    settings: WarehouseSettings
    as_of: date
    manifest: Manifest
    config: ScoreConfig
    decision: tiers.TierDecision


def main(argv: Sequence[str] | None = None) -> int:
    """Score one date. Returns 0; raises RefusedError when verification does not let the scores through."""
    args = parser().parse_args(argv)
    as_of = parse_date(args.as_of)
    config, decision = load_config(ScoreConfig, args.config), load_config(tiers.TierDecision, args.tiers)
    warehouse = Warehouse(get_session(JOB, args.warehouse), args.warehouse)
    settings = warehouse.settings()
    _check_begun(as_of, settings)
    with RunLog(warehouse, JOB, new_run_id(JOB), as_of) as run, TemporaryDirectory() as scratch:
        bundle, manifest = _fetch_bundle(run, args.models, args.model, Path(scratch))
        check_currency(manifest, settings.currency)
        tiers.check_fits(decision, manifest)
        _score(Scoring(run, warehouse, settings, as_of, manifest, config, decision), bundle)
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(prog=JOB, description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--as-of", required=True, metavar="DATE", help="nothing at or after its midnight is seen")
    arguments.add_argument(
        "--warehouse", required=True, metavar="ROOT", help="a folder, s3a://..., or catalog:database"
    )
    arguments.add_argument("--models", required=True, metavar="ROOT", help="the model store: a folder or s3://...")
    arguments.add_argument(
        "--model", default="champion", metavar="NAME", help="a bundle's version or an alias (default: champion)"
    )
    arguments.add_argument(
        "--config",
        default="conf/score.yaml",
        metavar="YAML",
        help="how to run and what to refuse (default: %(default)s)",
    )
    arguments.add_argument(
        "--tiers", default="conf/tiers.yaml", metavar="YAML", help="how tiers are decided (default: %(default)s)"
    )
    return arguments


def _score(scoring: Scoring, bundle: Path) -> None:
    run, warehouse = scoring.run, scoring.warehouse
    with (
        staging(warehouse, "behaviour", run.run_id) as behaviour_table,
        staging(warehouse, "decided", run.run_id) as decided_table,
        staging(warehouse, "scores", run.run_id) as scores_table,
    ):
        model = ship(warehouse.spark.sparkContext, bundle, scoring.manifest.version)
        _stage_behaviour(scoring, behaviour_table)
        population = _measure_population(scoring, behaviour_table)
        text_vectors = _encode_texts(scoring, behaviour_table, model)
        _encode_missing(scoring, behaviour_table, model, text_vectors)
        decided = _decide(scoring, behaviour_table, population, model, decided_table)
        previous = _previous_tiers(scoring)
        _stage_scores(scoring, decided, previous, population.platform_scale, scores_table)
        _verify(scoring, scores_table)
        _report_migration(scoring, previous, scores_table)
        with run.stage("publish"):
            run.versions_written.update(publish(warehouse, scores_table, scoring.as_of))
        _forget(scoring, behaviour_table)
    _report_sizing(run)


def _forget(scoring: Scoring, behaviour_table: str) -> None:
    """What is of no use any more: vectors, and the tables of runs that were killed."""
    run, manifest, now = scoring.run, scoring.manifest, datetime.now(UTC)
    caches = (
        (schema.TEXT_VECTORS, manifest.text_encoder_version),
        (schema.USER_VECTORS, manifest.user_encoder_version),
    )
    with run.stage("retention") as stage:
        stale = [
            forget_stale(scoring.warehouse, cache, version, now, scoring.config.retention)
            for cache, version in caches
            if version is not None and scoring.warehouse.exists(cache.name)
        ]
        stage.count("encoders_forgotten", sum(stale))
        # On a date of the past users had other histories.
        newest = schema.SCORES.name in run.versions_written
        stage.count("vectors_forgotten", _forget_unused(scoring, behaviour_table) if newest else 0)
        stage.count("left_behind_dropped", drop_left_behind(scoring.warehouse, now))


def _forget_unused(scoring: Scoring, behaviour_table: str) -> int:
    warehouse, manifest, counts = scoring.warehouse, scoring.manifest, scoring.run.counts
    everyone, removed = warehouse.read(behaviour_table), 0
    if manifest.network.use_text:
        number = counts["histories_encoded"] + counts["histories_reused"]
        used, version = everyone.select("history_hash"), manifest.user_encoder_version
        removed += forget_unused(warehouse, schema.USER_VECTORS, version, used, number)
    if manifest.text_encoder_version is not None:
        number = counts["texts_encoded"] + counts["texts_reused"]
        used, version = texts.used_keys(everyone, *_read(scoring, schema.PRODUCTS)), manifest.text_encoder_version
        removed += forget_unused(warehouse, schema.TEXT_VECTORS, version, used, number)
    return removed


def _report_sizing(run: RunLog) -> None:
    found, spark = sizing(run.counts, run.seconds), run.warehouse.spark
    found |= {"bytes_shuffled": float(shuffled_bytes(spark)), "peak_memory_gb": peak_memory_gb(spark)}
    _tell(run, found)


def _tell(run: RunLog, metrics: Mapping[str, float]) -> None:
    run.metrics.update(metrics)
    for name, value in metrics.items():
        logger.info("%s: %s", name.replace("_", " "), f"{value:,.1f}" if value >= 10 else f"{value:.2g}")


def _fetch_bundle(run: RunLog, models: str, name: str, into: Path) -> tuple[Path, Manifest]:
    with run.stage("bundle"):
        folder = open_store(models).fetch(name, into)
        predictor = Predictor.load(folder)
        run.model_version = predictor.manifest.version
        predictor.self_test()
        return folder, predictor.manifest


def _check_begun(as_of: date, settings: WarehouseSettings) -> None:
    """A date to come would hold ``ulv_scores`` until it has passed, since only a later one replaces it."""
    today = datetime.now(ZoneInfo(settings.time_zone)).date()
    if as_of > today:
        raise ExpectedError(f"--as-of {as_of} is in the future, today is {today} in {settings.time_zone}; correct it")


def _stage_behaviour(scoring: Scoring, table: str) -> None:
    run, warehouse = scoring.run, scoring.warehouse
    reads_words = scoring.manifest.network.unit == "history"
    if not reads_words:
        _keep_timelines(scoring)
    with run.stage("behaviour") as stage:
        warehouse.overwrite(_behaviour_in_words(scoring) if reads_words else _behaviour(scoring), table)
        users, scored = warehouse.read(table).agg(F.count("user_id"), F.count("history_hash")).collect()[0]
        stage.count("users", users)
        stage.count("scored", scored)
        stage.count("no_history", users - scored)


def _keep_timelines(scoring: Scoring) -> None:
    run, time_zone = scoring.run, scoring.settings.time_zone
    build, sources = partial(behaviour.timelines, time_zone=time_zone), (schema.EVENTS.name, schema.USERS.name)
    layout = schema.PACKED | {"meaning": schema.PACKED_MEANING, "time_zone": time_zone}
    with run.stage("timelines") as stage:
        kept = bring_up_to_date(scoring.warehouse, Derived(schema.TIMELINES, sources, build, layout), run.run_id)
        run.versions_read.update(kept.sources | {schema.TIMELINES.name: kept.version})
        stage.count("timelines_built", kept.built)


def _behaviour(scoring: Scoring) -> DataFrame:
    timelines, products = _read(scoring, schema.TIMELINES, schema.PRODUCTS)
    return behaviour.build_from_timelines(timelines, products, scoring.as_of, scoring.manifest.history)


def _behaviour_in_words(scoring: Scoring) -> DataFrame:
    events, products, users = _read(scoring, schema.EVENTS, schema.PRODUCTS, schema.USERS)
    spec, time_zone = scoring.manifest.history, scoring.settings.time_zone
    return behaviour.build(events, products, users, scoring.as_of, spec, time_zone)


def _read(scoring: Scoring, *tables: schema.Table) -> list[DataFrame]:
    """Tables as they are at the version that this run read first, or reads now."""
    versions, warehouse = scoring.run.versions_read, scoring.warehouse
    return [warehouse.read(each.name, versions.setdefault(each.name, warehouse.version(each.name))) for each in tables]


def _measure_population(scoring: Scoring, behaviour_table: str) -> Population:
    run, warehouse = scoring.run, scoring.warehouse
    with run.stage("population"):
        population = behaviour.measure_population(warehouse.read(behaviour_table), scoring.manifest.history)
        warehouse.ensure(schema.POPULATIONS)
        row = population.to_row(run.run_id)
        rows = [tuple(row[name] for name in schema.POPULATIONS.names)]
        frame = warehouse.spark.createDataFrame(rows, schema.POPULATIONS.ddl)
        run.versions_written[schema.POPULATIONS.name] = warehouse.append(frame, schema.POPULATIONS.name)
        return population


def _vectors(scoring: Scoring) -> DataFrame:
    return known_vectors(
        scoring.warehouse.read(schema.USER_VECTORS.name, scoring.run.versions_read[schema.USER_VECTORS.name]),
        scoring.manifest.user_encoder_version,
    )


def _encode_texts(scoring: Scoring, behaviour_table: str, model: str) -> str | None:
    """Of unit ``event``: the name under which the vectors of tonight's texts were shipped."""
    run, warehouse, name = scoring.run, scoring.warehouse, schema.TEXT_VECTORS.name
    version = scoring.manifest.text_encoder_version
    if version is None:
        return None
    with run.stage("texts") as stage:
        warehouse.ensure(schema.TEXT_VECTORS)
        run.versions_read[name] = warehouse.version(name)
        events, products = _read(scoring, schema.EVENTS, schema.PRODUCTS)
        used = texts.used_keys(warehouse.read(behaviour_table), products)
        marked = texts.with_known(used, warehouse.read(name, run.versions_read[name]), version)
        found = marked.persist(StorageLevel.DISK_ONLY)
        total, reused = found.agg(F.count("text_key"), F.count("known")).collect()[0]
        stage.count("texts_encoded", total - reused)
        stage.count("texts_reused", reused)
        if total > reused:
            missing = texts.words_of(found.where(F.col("known").isNull()), events, products)
            _read_texts(scoring, missing, total - reused, model, version)
        known = texts.known_texts(found, warehouse.read(name, run.versions_read[name]), version)
        shipped = texts.ship_vectors(warehouse.spark.sparkContext, known, f"texts-{run.run_id}")
        found.unpersist()
        return shipped


def _read_texts(scoring: Scoring, missing: DataFrame, number: int, model: str, version: str) -> None:
    run, warehouse, name = scoring.run, scoring.warehouse, schema.TEXT_VECTORS.name
    throughput, now = Throughput.start(warehouse.spark.sparkContext), datetime.now(UTC)
    per_task = scoring.config.encode.texts_per_task
    vectors = texts.encode_texts(missing, number, model, version, now, per_task, throughput)
    run.versions_read[name] = run.versions_written[name] = warehouse.append(vectors, name)
    _tell(run, throughput.metrics())


def _encode_missing(scoring: Scoring, behaviour_table: str, model: str, text_vectors: str | None) -> None:
    if not scoring.manifest.network.use_text:
        return
    run, warehouse, name = scoring.run, scoring.warehouse, schema.USER_VECTORS.name
    with run.stage("encode") as stage:
        warehouse.ensure(schema.USER_VECTORS)
        run.versions_read[name] = warehouse.version(name)
        everyone = warehouse.read(behaviour_table)
        known = warehouse.read(name, run.versions_read[name])
        marked = with_known(everyone, known, scoring.manifest.user_encoder_version)
        found = marked.persist(StorageLevel.DISK_ONLY)
        total, reused = found.agg(F.count("history_hash"), F.count("known")).collect()[0]
        stage.count("histories_encoded", total - reused)
        stage.count("histories_reused", reused)
        if total > reused:
            missing = found.where(F.col("known").isNull()).select("history_hash") if reused else None
            version, now = scoring.manifest.user_encoder_version, datetime.now(UTC)
            throughput, config = Throughput.start(warehouse.spark.sparkContext), scoring.config.encode
            vectors = encode(everyone, missing, total - reused, model, text_vectors, version, now, config, throughput)
            run.versions_read[name] = run.versions_written[name] = warehouse.append(vectors, name)
            _tell(run, throughput.metrics())
        found.unpersist()


def _decide(scoring: Scoring, behaviour_table: str, population: Population, model: str, table: str) -> DataFrame:
    """What is predicted of everyone; in ``table`` where the rule for tiers reads it twice, else not computed yet."""
    warehouse, manifest = scoring.warehouse, scoring.manifest
    vectors = _vectors(scoring) if manifest.network.use_text else None
    decided = decide(warehouse.read(behaviour_table), vectors, population, manifest.history, model)
    if scoring.decision.quotas is None:
        return decided
    with scoring.run.stage("predict"):
        warehouse.overwrite(decided, table)
    return warehouse.read(table)


def _stage_scores(scoring: Scoring, decided: DataFrame, previous: DataFrame, platform_scale: float, table: str) -> None:
    run, manifest = scoring.run, scoring.manifest
    with run.stage("decide"):
        tiered = tiers.assign(decided, previous, manifest.tiers, platform_scale, scoring.decision)
        facts = ScoreFacts(
            as_of=scoring.as_of,
            horizon_days=manifest.horizon_days,
            currency=scoring.settings.currency,
            model_version=manifest.version,
            run_id=run.run_id,
            scored_at=datetime.now(UTC),
        )
        scoring.warehouse.overwrite(score_rows(tiered, facts), table)


def _previous_tiers(scoring: Scoring) -> DataFrame:
    run, warehouse, name = scoring.run, scoring.warehouse, schema.SCORES_HISTORY.name
    warehouse.ensure(schema.SCORES_HISTORY)
    run.versions_read[name] = warehouse.version(name)
    return tiers.previous_tiers(
        warehouse.read(name, run.versions_read[name]).where(F.col("as_of_date") < scoring.as_of)
    )


def _verify(scoring: Scoring, scores_table: str) -> None:
    run, manifest = scoring.run, scoring.manifest
    with run.stage("verify"):
        staged = scoring.warehouse.read(scores_table)
        heads, limits = manifest.network.heads, scoring.config.verification
        run.metrics.update(verify(staged, run.counts["users"], heads, manifest.tiers.names, limits))


def _report_migration(scoring: Scoring, previous: DataFrame, scores_table: str) -> None:
    run = scoring.run
    with run.stage("migration"):
        migration = migrate(scoring.warehouse.read(scores_table), previous)
        run.counts.update(migration.counts())
        run.metrics.update(migration.metrics())
    for name, share in migration.metrics().items():
        logger.info("%s: %.1f %%", name.replace("_", " "), 100 * share)


if __name__ == "__main__":
    run_as_job(main)
