"""Run the encoders of ``contenders`` in Spark: users with texts and numbers in, their tiers out."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType

from benchmarks.comparison import contenders
from benchmarks.comparison.texts import Users
from ulvspark.history.packing import rows_as_bytes, rows_from_bytes
from ulvspark.history.population import Population

USER_COLUMNS = "id BIGINT, profile STRING, events STRING, numbers ARRAY<DOUBLE>, vector BINARY"
SCORED_COLUMNS = ("profile", "events", "numbers")


def users_frame(session: SparkSession, users: Users) -> DataFrame:
    """The rows of ``users``, without vectors, cached in memory with one partition a core."""
    rows = users.rows.assign(vector=pd.Series([None] * len(users.rows), dtype=object))
    frame = session.createDataFrame(rows, USER_COLUMNS).repartition(session.sparkContext.defaultParallelism).cache()
    frame.count()
    return frame


def scored(name: str, users: DataFrame, bundle: str, population: Population) -> DataFrame:
    """id and tier of each user, with the encoder ``name`` of ``contenders.ENCODERS``."""
    if name == contenders.PREDICT_BATCH:
        return _with_predict_batch_udf(name, users, bundle, population)
    if name.startswith("ulvspark"):
        return users.mapInArrow(
            partial(_score_batches, name=name, bundle=bundle, population=population),
            "id BIGINT, tier INT, vector BINARY",
        )
    return _with_pandas_udf(name, users, bundle, population)


def _with_pandas_udf(name: str, users: DataFrame, bundle: str, population: Population) -> DataFrame:
    def score(batches: Iterator[pd.DataFrame]) -> Iterator[pd.Series]:
        encode = contenders.encoder(name, bundle)
        for batch in batches:
            vectors = encode(batch["profile"].tolist(), batch["events"].tolist())
            yield pd.Series(contenders.tiers(bundle, vectors, batch["numbers"], population))

    score.__annotations__ = {"batches": Iterator[pd.DataFrame], "return": Iterator[pd.Series]}
    tier = F.pandas_udf(score, IntegerType())(F.struct(*SCORED_COLUMNS))  # type: ignore[attr-defined]
    return users.select("id", tier.alias("tier"))


def _with_predict_batch_udf(name: str, users: DataFrame, bundle: str, population: Population) -> DataFrame:
    width = len(users.first()["numbers"])  # type: ignore[index]

    def make_predict() -> Any:  # noqa: ANN401 - pyspark does not type what predict_batch_udf takes
        encode = contenders.encoder(name, bundle)

        def predict(profile: np.ndarray, events: np.ndarray, numbers: np.ndarray) -> np.ndarray:
            vectors = encode(profile.tolist(), events.tolist())
            return contenders.tiers(bundle, vectors, pd.Series(list(numbers)), population)

        return predict

    tier = predict_batch_udf(
        make_predict, return_type=IntegerType(), batch_size=contenders.BATCH, input_tensor_shapes={2: [width]}
    )
    return users.select("id", tier(*SCORED_COLUMNS).alias("tier"))


def _score_batches(
    batches: Iterator[pa.RecordBatch], name: str, bundle: str, population: Population
) -> Iterator[pa.RecordBatch]:
    """Encode the users without a ``vector``, and predict the tiers of all of them."""
    encode = contenders.encoder(name, bundle)
    for batch in batches:
        frame = batch.to_pandas()
        new = frame["vector"].isna().to_numpy()
        if new.any():
            encoded = encode(frame.loc[new, "profile"].tolist(), frame.loc[new, "events"].tolist())
            frame.loc[new, "vector"] = pd.Series(
                rows_as_bytes(encoded).to_pylist(), index=frame.index[new], dtype=object
            )
        tier = contenders.tiers(
            bundle,
            rows_from_bytes(pa.array(frame["vector"], pa.binary()), np.dtype("<f4")),
            frame["numbers"],
            population,
        )
        yield pa.record_batch({
            "id": batch.column("id"),
            "tier": pa.array(tier.astype(np.int32)),
            "vector": pa.array(frame["vector"], pa.binary()),
        })  # fmt: skip


def mostly_encoded(name: str, users: DataFrame, bundle: str, population: Population, copies: int) -> DataFrame:
    """``copies`` copies of ``users``, of whom all but one in a hundred have a vector."""
    vectors = scored(name, users, bundle, population).select("id", "vector")
    repeated = users.drop("vector").join(vectors, "id").crossJoin(users.sparkSession.range(copies).toDF("copy"))
    kept = F.when((F.col("id") + F.col("copy")) % 100 != 0, F.col("vector"))
    return repeated.withColumn("vector", kept).drop("copy")
