"""Score rows: predictions and tiers in the columns of the score tables."""

from dataclasses import dataclass
from datetime import date, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract import schema


@dataclass(frozen=True)
class ScoreFacts:
    """Facts that all scores of a run share."""

    as_of: date
    horizon_days: int
    currency: str
    model_version: str
    run_id: str
    scored_at: datetime


def score_rows(tiered: DataFrame, facts: ScoreFacts) -> DataFrame:
    """The rows of ``tiers.assign`` in the columns and types of ``schema.SCORE_COLUMNS``; missing columns are null."""
    constants = {
        "as_of_date": F.lit(facts.as_of),
        "horizon_days": F.lit(facts.horizon_days),
        "currency": F.lit(facts.currency),
        "status": F.when(F.col("has_history"), schema.STATUS_SCORED).otherwise(schema.STATUS_NO_HISTORY),
        "model_version": F.lit(facts.model_version),
        "run_id": F.lit(facts.run_id),
        "scored_at": F.lit(facts.scored_at),
    }
    known = {name: F.col(name) for name in tiered.columns} | constants
    return tiered.select(
        *(known.get(column.name, F.lit(None)).cast(column.type).alias(column.name) for column in schema.SCORE_COLUMNS)
    )
