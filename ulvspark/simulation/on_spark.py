"""A simulated platform of any size on Spark: blocks of users, each made by one task, as tables."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from ulvspark.simulation import truth
from ulvspark.simulation.block import USERS, Block, block
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Ints
from ulvspark.simulation.users.offers import EXPOSURES, NO_EXPOSURES, Exposures, scheduled
from ulvspark.simulation.users.people import number_of_users, people, user_names, user_table
from ulvspark.simulation.users.presence import presence

ROWS_A_BATCH = 20_000

_BLOCKS_A_TASK = 50

Made = Callable[[Block], pa.Table]
"""What is taken of a block."""


def user_rows(spark: SparkSession, config: SimulationConfig, end: int) -> DataFrame:
    """What the platform knows of its users when day ``end`` begins."""

    def made(ids: Ints, exposed: Exposures) -> pa.Table:
        users = people(config, ids, 1)
        return user_table(config, users).filter(pa.array(users.joined < end))

    return _mapped(_blocks(spark, config, end, None), number_of_users(config, end), made)


def exposure_rows(spark: SparkSession, config: SimulationConfig, first: int, end: int) -> DataFrame:
    """Exposures of the days from ``first`` to before ``end`` where nobody else assigns."""

    def made(ids: Ints, exposed: Exposures) -> pa.Table:
        names = user_names(ids)
        given = scheduled(config, people(config, ids, 1).joined, ids, names.to_pylist(), first, end)
        offers = pa.array([offer.name for offer in config.offers], pa.string())
        days = pa.array(np.datetime64(config.start) + given.day, pa.date32())
        columns = [names.take(pa.array(given.user - ids[0])), offers.take(pa.array(given.offer)), days]
        return pa.Table.from_arrays(columns, schema=EXPOSURES)

    return _mapped(_blocks(spark, config, end, None), number_of_users(config, end), made)


def block_rows(
    spark: SparkSession, config: SimulationConfig, exposed: DataFrame | None, end: int, taken: Made, since: int = 0
) -> DataFrame:
    """What ``taken`` gives of each block of users before day ``end``; see ``block`` for ``since``.

    ``exposed`` has the columns of ``EXPOSURES``: all exposures of the days before ``end``; None where there are none.
    """

    def made(ids: Ints, exposures: Exposures) -> pa.Table:
        return taken(block(config, ids, exposures, end, since))

    return _mapped(_blocks(spark, config, end, exposed), number_of_users(config, end), made)


def user_truth_rows(spark: SparkSession, config: SimulationConfig, exposed: DataFrame | None, end: int) -> DataFrame:
    """The truth behind the users who have joined before day ``end``; ``exposed`` as in ``block_rows``."""

    def made(ids: Ints, exposures: Exposures) -> pa.Table:
        users = people(config, ids, end)
        known = truth.user_truth(config, users, presence(config, users, exposures.among(ids), end))
        return known.filter(pa.array(users.joined < end))

    return _mapped(_blocks(spark, config, end, exposed), number_of_users(config, end), made)


def offer_truth_rows(spark: SparkSession, config: SimulationConfig, end: int) -> DataFrame:
    """What offers do to each user who may have joined before day ``end``."""

    def made(ids: Ints, exposures: Exposures) -> pa.Table:
        return truth.offer_truth(config, people(config, ids, 1))

    return _mapped(_blocks(spark, config, end, None), number_of_users(config, end), made)


def _blocks(spark: SparkSession, config: SimulationConfig, end: int, exposed: DataFrame | None) -> DataFrame:
    """A row a block: its number, and the exposures of its users as arrays."""
    number = -(-number_of_users(config, end) // USERS)
    tasks = max(min(number, spark.sparkContext.defaultParallelism), -(-number // _BLOCKS_A_TASK))
    blocks = spark.range(0, number, 1, tasks).withColumnRenamed("id", "block")
    if exposed is None:
        nobody = F.array().cast("array<bigint>")
        return blocks.select("block", nobody.alias("user"), nobody.alias("offer"), nobody.alias("day"))
    names = F.array(*(F.lit(offer.name) for offer in config.offers))
    given = exposed.select(
        F.substring("user_id", 2, 20).cast("bigint").alias("user"),
        (F.array_position(names, F.col("offer")) - 1).alias("offer"),
        F.datediff("exposed_on", F.lit(config.start)).cast("bigint").alias("day"),
    )
    grouped = given.groupBy(F.floor(F.col("user") / USERS).alias("block")).agg(
        F.collect_list(F.struct("user", "offer", "day")).alias("given")
    )
    columns = [F.col(f"given.{name}").alias(name) for name in ("user", "offer", "day")]
    return blocks.join(grouped, "block", "left").select("block", *columns).repartition(tasks, "block")


def _mapped(blocks: DataFrame, total: int, made: Callable[[Ints, Exposures], pa.Table]) -> DataFrame:
    """What ``made`` gives of each block, whose schema a block of one user tells."""
    schema = made(np.arange(1, dtype=np.int64), NO_EXPOSURES).schema
    return blocks.mapInArrow(partial(_tables, total=total, made=made), from_arrow_schema(schema))


def _tables(
    batches: Iterator[pa.RecordBatch], total: int, made: Callable[[Ints, Exposures], pa.Table]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for number, *exposed in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            ids = np.arange(number * USERS, min((number + 1) * USERS, total), dtype=np.int64)
            table = made(ids, Exposures(*(np.asarray(each or (), np.int64) for each in exposed)))
            yield from table.to_batches(max_chunksize=ROWS_A_BATCH)
