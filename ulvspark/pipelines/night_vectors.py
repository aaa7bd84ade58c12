"""The steps of a night that keep vectors: read new texts, encode changed users, and remove what nobody needs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pyspark.sql import DataFrame

from ulvspark.contract import schema
from ulvspark.model.bundle.manifest import Manifest
from ulvspark.scoring import texts
from ulvspark.scoring.encode import EncodeConfig, encode_users
from ulvspark.scoring.token_meter import TokenMeter
from ulvspark.scoring.workers import ShippedModel
from ulvspark.warehouse.pinned import PinnedTables
from ulvspark.warehouse.runs.report import RunLog, Step
from ulvspark.warehouse.tables import Warehouse
from ulvspark.warehouse.vector_cache import FilledCache, Lookup, RetentionConfig, open_cache, remove_stale_encoders


def fill_text_cache(
    everyone: DataFrame,
    inputs: PinnedTables,
    model: ShippedModel,
    encoder_version: str,
    config: EncodeConfig,
    step: Step,
) -> FilledCache:
    """Have the vectors of all products' texts, and of the searches and reviews among tonight's recent events."""
    products, meter = inputs.read(schema.PRODUCTS), TokenMeter.start(inputs.warehouse.spark.sparkContext)

    def encode(lookup: Lookup) -> DataFrame:
        words = texts.words_of(lookup.missing_keys(), inputs.read(schema.EVENTS), products)
        return texts.encode_texts(words, lookup.missing, model, config.texts_per_task, meter.tokens)

    cache = open_cache(inputs.warehouse, schema.TEXT_VECTORS, encoder_version)
    filled = cache.fill(texts.wanted_texts(everyone, products), encode)
    step.count(texts_encoded=filled.lookup.missing, texts_reused=filled.lookup.known)
    step.measure(meter.rates(texts=filled.lookup.missing))
    return filled


def ship_texts(texts_read: FilledCache, model: ShippedModel, run_id: str) -> ShippedModel:
    """Send the vectors of tonight's texts to every executor, beside the model."""
    context = texts_read.cache.warehouse.spark.sparkContext
    name = texts.ship_vectors(context, texts_read.wanted_vectors(), f"texts-{run_id}")
    return replace(model, text_vectors=name)


def fill_user_cache(
    everyone: DataFrame,
    warehouse: Warehouse,
    model: ShippedModel,
    encoder_version: str,
    config: EncodeConfig,
    step: Step,
) -> FilledCache:
    """Have the vectors of all users with a history."""
    meter = TokenMeter.start(warehouse.spark.sparkContext)

    def encode(lookup: Lookup) -> DataFrame:
        # When nothing is known yet, there is nothing to leave out.
        missing = lookup.missing_keys() if lookup.known else None
        return encode_users(everyone, missing, lookup.missing, model, config, meter.tokens)

    filled = open_cache(warehouse, schema.USER_VECTORS, encoder_version).fill(everyone.select("history_hash"), encode)
    step.count(histories_encoded=filled.lookup.missing, histories_reused=filled.lookup.known)
    step.measure(meter.rates(histories=filled.lookup.missing))
    return filled


def report_cache(run: RunLog, filled: FilledCache) -> None:
    """Report at which versions a cache was read and, where vectors were added, written."""
    cache = filled.cache
    run.versions_read[cache.table.name] = cache.table_version
    if filled.lookup.missing:
        run.versions_written[cache.table.name] = cache.table_version


def remove_unused_vectors(
    warehouse: Warehouse,
    manifest: Manifest,
    caches: Sequence[FilledCache],
    is_newest: bool,
    config: RetentionConfig,
    step: Step,
) -> None:
    """Remove the vectors of encoders that are no longer used and, in a newest night, of what nobody needs any more.

    In a night of the past users had other recent events than now.
    """
    encoders = {schema.TEXT_VECTORS: manifest.text_encoder_version, schema.USER_VECTORS: manifest.user_encoder_version}
    stale = [
        remove_stale_encoders(warehouse, table, version, datetime.now(UTC), config)
        for table, version in encoders.items()
        if version is not None and warehouse.exists(table.name)
    ]
    unused = [cache.remove_unused() for cache in caches if is_newest]
    step.count(stale_encoders_removed=sum(stale), unused_vectors_removed=sum(unused))
    for cache in caches:
        cache.release()
