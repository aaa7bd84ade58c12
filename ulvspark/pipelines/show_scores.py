"""Show the scores of a date: the tiers, who moved between them, and some users with what was read of them."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.heads import HEADS
from ulvspark.history import behaviour
from ulvspark.history.days import local_midnight
from ulvspark.history.labels import label
from ulvspark.model.predictor import Predictor
from ulvspark.scoring.migration import NO_TIER, migrate
from ulvspark.scoring.tiers import previous_tiers
from ulvspark.warehouse.runs.table_check import check_tables
from ulvspark.warehouse.settings import read_settings
from ulvspark.warehouse.tables import Warehouse

JOB = "show_scores"

EXAMPLE_SCORES = tuple(name for head in HEADS.values() if head.kind != "classes" for name in head.columns[:2])
"""Score columns that are printed of an example user: of an amount the mean and the median."""
ASSOCIATION = "Price sensitivity is an association with past behaviour, not the effect of a discount."
LINE_WIDTH = 120


@dataclass(frozen=True)
class ShownScores:
    """The scores of a date as tables and text."""

    tiers: pd.DataFrame
    """By tier, lowest first: users, sums of predicted spend and, where the window has closed, of actual spend and of
    churned users (columns users, predicted, actual, churned)."""
    text: str
    """All of it, for the terminal."""


def show_scores(warehouse: Warehouse, predictor: Predictor, as_of: date, examples: int) -> ShownScores:
    """Tables and text of the scores of ``as_of``, with ``examples`` users and what was read of them.

    Raises ExpectedError when the date was not scored, or by another bundle than ``predictor``'s.
    """
    manifest, settings = predictor.manifest, read_settings(warehouse)
    check_tables(warehouse, read=(schema.EVENTS, schema.SCORES_HISTORY))
    scores = _scores_of(warehouse, as_of, manifest.version)
    is_past = _window_has_closed(warehouse, as_of, manifest.horizon_days, settings.time_zone)
    if is_past:
        scores = _with_actual_spend(warehouse, scores, as_of, manifest.horizon_days, settings.time_zone)
    tiers = _sums_by_tier(scores, manifest.tiers.names, is_past)
    lines = [
        "",
        f"Scores as of {as_of} for the next {manifest.horizon_days} days, amounts in {settings.currency}",
        f"bundle {manifest.version}; in {warehouse.root}, tables ulv_scores and ulv_scores_history",
        "",
        *tier_lines(tiers),
        *_migration_lines(warehouse, scores, as_of, manifest.tiers.names),
        *_example_lines(warehouse, predictor, scores, as_of, examples),
    ]
    if "price_sensitivity" in manifest.network.heads:
        lines += ["", ASSOCIATION]
    return ShownScores(tiers, "\n".join(lines))


def _scores_of(warehouse: Warehouse, as_of: date, model_version: str) -> DataFrame:
    scores = warehouse.read(schema.SCORES_HISTORY.name).where(F.col("as_of_date") == F.lit(as_of))
    row = scores.select("model_version").first()
    if row is None:
        raise ExpectedError(f"warehouse {warehouse.root} has no scores of {as_of}; run score_users for it first")
    if row["model_version"] != model_version:
        raise ExpectedError(
            f"the scores of {as_of} are by bundle {row['model_version']}, not {model_version}; "
            f"give --model {row['model_version']}"
        )
    return scores


def _window_has_closed(warehouse: Warehouse, as_of: date, horizon_days: int, time_zone: str) -> bool:
    """Whether events reach into the last day of the window after ``as_of``."""
    last_day = local_midnight(as_of + timedelta(days=horizon_days - 1), time_zone)
    events = warehouse.read(schema.EVENTS.name)
    return not events.where(F.col("event_time") >= F.lit(last_day)).isEmpty()


def _with_actual_spend(
    warehouse: Warehouse, scores: DataFrame, as_of: date, horizon_days: int, time_zone: str
) -> DataFrame:
    """``scores`` with what each user spent in the window (spend) and whether they left (churned)."""
    events = warehouse.read(schema.EVENTS.name)
    labels = label(events, as_of, horizon_days, time_zone).select("user_id", "spend", "churned")
    without_events = {"spend": F.coalesce("spend", F.lit(0.0)), "churned": F.coalesce("churned", F.lit(1))}
    return scores.join(labels, "user_id", "left").withColumns(without_events)


def _sums_by_tier(scores: DataFrame, names: tuple[str, ...], is_past: bool) -> pd.DataFrame:
    sums = [F.count("*").alias("users"), F.sum("expected_value").alias("predicted")]
    if is_past:
        sums += [F.sum("spend").alias("actual"), F.sum("churned").alias("churned")]
    by_tier = scores.groupBy(F.coalesce("ulv_tier", F.lit(NO_TIER)).alias("tier")).agg(*sums)
    table = by_tier.toPandas().set_index("tier")
    rows = [*names, NO_TIER] if NO_TIER in table.index else [*names]
    return table.reindex(rows).fillna({"users": 0})


def tier_lines(sums: pd.DataFrame) -> list[str]:
    """The table of tiers (see ``ShownScores.tiers``) with a line for all; a prediction that is not there is a dash."""
    everyone = sums.sum(min_count=1).to_frame("all").T
    table = pd.concat([sums, everyone]).astype(float)
    users = table["users"]
    columns = {
        "users": users.map("{:,.0f}".format),
        "share": (users / everyone["users"].iloc[0]).map(_share),
        "predicted each": (table["predicted"] / users).map(_amount),
        "predicted total": table["predicted"].map(_amount),
    }
    if "actual" in table:
        columns["actual each"] = (table["actual"] / users).map(_amount)
        columns["actual total"] = table["actual"].map(_amount)
        columns["actual churn"] = (table["churned"] / users).map(_share)
    return pd.DataFrame(columns).to_string(col_space=10).splitlines()


def _amount(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:,.2f}"


def _share(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.1%}"


def _migration_lines(warehouse: Warehouse, scores: DataFrame, as_of: date, names: tuple[str, ...]) -> list[str]:
    """Who moved between tiers since the date before, and how many would have moved without hysteresis."""
    before = warehouse.read(schema.SCORES_HISTORY.name).where(F.col("as_of_date") < F.lit(as_of))
    date_before = before.agg(F.max("as_of_date")).collect()[0][0]
    if date_before is None:
        return []
    migration = migrate(scores, previous_tiers(before))
    matrix = migration.matrix(names).map("{:,}".format)
    return [
        "",
        f"Users by their tier as of {date_before} (down) and as of {as_of} (across)",
        "",
        *matrix.rename_axis(index=None, columns=None).to_string(col_space=10).splitlines(),
        *(f"{name.replace('_', ' ')}: {_share(share)}" for name, share in migration.metrics().items()),
    ]


def _example_lines(
    warehouse: Warehouse, predictor: Predictor, scores: DataFrame, as_of: date, number: int
) -> list[str]:
    """Some users, from every tier in turn; the same users each time."""
    by_tier = Window.partitionBy("ulv_tier").orderBy(F.xxhash64("user_id"))
    scored = scores.where(F.col("status") == schema.STATUS_SCORED)
    ranked = scored.withColumn("turn", F.row_number().over(by_tier))
    rows = [row.asDict() for row in ranked.orderBy("turn", "ulv_tier").limit(number).collect()]
    histories = _histories(warehouse, predictor, as_of, [row["user_id"] for row in rows]) if rows else {}
    return [line for row in rows for line in _example(predictor, row, histories[row["user_id"]])]


def _histories(warehouse: Warehouse, predictor: Predictor, as_of: date, user_ids: list[str]) -> dict[str, Any]:
    """The profile and recent events of some users, as score_users reads them."""
    events, users = (
        warehouse.read(table.name).where(F.col("user_id").isin(user_ids)) for table in (schema.EVENTS, schema.USERS)
    )
    products, time_zone = warehouse.read(schema.PRODUCTS.name), read_settings(warehouse).time_zone
    rows = behaviour.build(events, products, users, as_of, predictor.manifest.history, time_zone)
    return {row["user_id"]: row["history"].asDict(recursive=True) for row in rows.collect()}


def _example(predictor: Predictor, row: Mapping[str, Any], history: Mapping[str, Any]) -> list[str]:
    (text,) = predictor.render([history])
    scores = [f"{name.replace('_', ' ')} {row[name]:,.2f}" for name in EXAMPLE_SCORES if row[name] is not None]
    if "spend" in row:
        scores.append(f"actual spend {row['spend']:,.2f}")
    probabilities = [f"{name} {share:.2f}" for name, share in (row["tier_probabilities"] or {}).items()]
    return [
        "",
        f"user {row['user_id']}: {row['ulv_tier'] or NO_TIER} ({', '.join(probabilities)})",
        f"  {', '.join(scores)}",
        *_wrapped(text.profile),
        *_wrapped(text.events),
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, LINE_WIDTH, initial_indent="  ", subsequent_indent="    ")
