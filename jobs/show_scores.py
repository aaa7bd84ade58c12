"""Show the scores of a date in the terminal: the tiers, and some users with what was read of them.

    python -m jobs.show_scores --as-of DATE --warehouse ROOT --models ROOT --model champion

For demo data: the examples print users' ids and texts to the terminal.
"""

import argparse
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ulvspark.contract import schema
from ulvspark.contract.config import parse_date
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.history import behaviour
from ulvspark.history.days import local_midnight
from ulvspark.history.labels import label
from ulvspark.model.bundle.store import open_store
from ulvspark.model.predictor import Predictor
from ulvspark.scoring.migration import NO_TIER, migrate
from ulvspark.scoring.tiers import previous_tiers
from ulvspark.warehouse.session import get_session
from ulvspark.warehouse.tables import Warehouse

PREDICTED = ("expected_value", "expected_value_median", "churn_probability", "price_sensitivity")
ASSOCIATION = "Price sensitivity is an association with past behaviour, not the effect of a discount."
WIDTH = 120


@dataclass(frozen=True)
class Shown:
    """The scores of a date, with what became of the users where that is known by now."""

    warehouse: Warehouse
    predictor: Predictor
    as_of: date
    scores: DataFrame
    """``schema.SCORE_COLUMNS``; with ``spend`` and ``churned`` when ``future_known``."""
    future_known: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Print one date's scores. Returns 0; raises ExpectedError when the date was not scored by this bundle."""
    args = parser().parse_args(argv)
    warehouse = Warehouse(get_session("show_scores", args.warehouse), args.warehouse)
    with TemporaryDirectory() as scratch:
        predictor = Predictor.load(open_store(args.models).fetch(args.model, Path(scratch)))
        shown = _look_up(warehouse, predictor, parse_date(args.as_of))
        print("\n".join(_header(shown)))
        print("\n".join(tier_lines(_tier_sums(shown), shown.future_known)))
        print("\n".join(_migration_lines(shown)))
        for example in _examples(shown, args.examples):
            print("\n".join(example))
        if "price_sensitivity" in predictor.manifest.network.heads:
            print(f"\n{ASSOCIATION}")
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(
        prog="show_scores",
        description="Show the scores of a date in the terminal. For demo data: example users are printed with their "
        "ids and the text that was read of them.",
    )
    arguments.add_argument("--as-of", required=True, metavar="DATE", help="a date that score_users has scored")
    arguments.add_argument(
        "--warehouse", required=True, metavar="ROOT", help="a folder, s3a://..., or catalog:database"
    )
    arguments.add_argument("--models", required=True, metavar="ROOT", help="the model store: a folder or s3://...")
    arguments.add_argument(
        "--model", default="champion", metavar="NAME", help="what made the scores (default: champion)"
    )
    arguments.add_argument(
        "--examples", type=int, default=5, metavar="N", help="users shown with their text (default: 5)"
    )
    return arguments


def _look_up(warehouse: Warehouse, predictor: Predictor, as_of: date) -> Shown:
    scores = warehouse.read(schema.SCORES_HISTORY.name).where(F.col("as_of_date") == F.lit(as_of))
    one = scores.select("model_version").first()
    if one is None:
        raise ExpectedError(f"warehouse {warehouse.root} has no scores of {as_of}; run score_users for it first")
    if one["model_version"] != predictor.manifest.version:
        raise ExpectedError(
            f"the scores of {as_of} are by bundle {one['model_version']}, not {predictor.manifest.version}; "
            f"give --model {one['model_version']}"
        )
    known = _future_known(warehouse, as_of, predictor.manifest.horizon_days)
    if known:
        scores = _with_future(warehouse, scores, as_of, predictor.manifest.horizon_days)
    return Shown(warehouse, predictor, as_of, scores, known)


def _future_known(warehouse: Warehouse, as_of: date, horizon_days: int) -> bool:
    """Whether events reach into the last day of the window after ``as_of``."""
    last_day = local_midnight(as_of + timedelta(days=horizon_days - 1), warehouse.settings().time_zone)
    events = warehouse.read(schema.EVENTS.name)
    return not events.where(F.col("event_time") >= F.lit(last_day)).isEmpty()


def _with_future(warehouse: Warehouse, scores: DataFrame, as_of: date, horizon_days: int) -> DataFrame:
    events, time_zone = warehouse.read(schema.EVENTS.name), warehouse.settings().time_zone
    labels = label(events, as_of, horizon_days, time_zone).select("user_id", "spend", "churned")
    absent = {"spend": F.coalesce("spend", F.lit(0.0)), "churned": F.coalesce("churned", F.lit(1))}
    return scores.join(labels, "user_id", "left").withColumns(absent)


def _header(shown: Shown) -> list[str]:
    manifest, settings = shown.predictor.manifest, shown.warehouse.settings()
    return [
        "",
        f"Scores as of {shown.as_of} for the next {manifest.horizon_days} days, amounts in {settings.currency}",
        f"bundle {manifest.version}; in {shown.warehouse.root}, tables ulv_scores and ulv_scores_history",
        "",
    ]


def _tier_sums(shown: Shown) -> pd.DataFrame:
    """By tier, lowest first: users, and sums of predicted (and actual) spend and of churned users."""
    sums = [F.count("*").alias("users"), F.sum("expected_value").alias("predicted")]
    if shown.future_known:
        sums += [F.sum("spend").alias("actual"), F.sum("churned").alias("churned")]
    by_tier = shown.scores.groupBy(F.coalesce("ulv_tier", F.lit(NO_TIER)).alias("tier")).agg(*sums)
    found = by_tier.toPandas().set_index("tier")
    table = found.reindex([*shown.predictor.manifest.tiers.names, *(name for name in [NO_TIER] if name in found.index)])
    return table.fillna({"users": 0})


def tier_lines(sums: pd.DataFrame, future_known: bool) -> list[str]:
    """The table of tiers from ``_tier_sums``, with a line for all; absent predictions show as a dash."""
    everyone = sums.sum(min_count=1).to_frame("all").T
    table = pd.concat([sums, everyone]).astype(float)
    users = table["users"]
    columns = {
        "users": users.map("{:,.0f}".format),
        "share": (users / everyone["users"].iloc[0]).map(_share),
        "predicted each": (table["predicted"] / users).map(_amount),
        "predicted total": table["predicted"].map(_amount),
    }
    if future_known:
        columns["actual each"] = (table["actual"] / users).map(_amount)
        columns["actual total"] = table["actual"].map(_amount)
        columns["actual churn"] = (table["churned"] / users).map(_share)
    return pd.DataFrame(columns).to_string(col_space=10).splitlines()


def _amount(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:,.2f}"


def _share(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.1%}"


def _migration_lines(shown: Shown) -> list[str]:
    """Who moved between tiers since the date before, and how many would have without hysteresis."""
    before = shown.warehouse.read(schema.SCORES_HISTORY.name).where(F.col("as_of_date") < F.lit(shown.as_of))
    date_before = before.agg(F.max("as_of_date")).collect()[0][0]
    if date_before is None:
        return []
    migration = migrate(shown.scores, previous_tiers(before))
    matrix = migration.matrix(shown.predictor.manifest.tiers.names).map("{:,}".format)
    return [
        "",
        f"Users by their tier as of {date_before} (down) and as of {shown.as_of} (across)",
        "",
        *matrix.rename_axis(index=None, columns=None).to_string(col_space=10).splitlines(),
        *(f"{name.replace('_', ' ')}: {_share(share)}" for name, share in migration.metrics().items()),
    ]


def _examples(shown: Shown, number: int) -> list[list[str]]:
    """The lines of some users, from every tier in turn; the same users each time."""
    by_tier = Window.partitionBy("ulv_tier").orderBy(F.xxhash64("user_id"))
    scored = shown.scores.where(F.col("status") == schema.STATUS_SCORED)
    ranked = scored.withColumn("turn", F.row_number().over(by_tier))
    chosen = ranked.orderBy("turn", "ulv_tier").limit(number).collect()
    histories = _histories(shown, [row["user_id"] for row in chosen])
    return [_example(shown, row.asDict(), histories[row["user_id"]]) for row in chosen]


def _histories(shown: Shown, user_ids: list[str]) -> dict[str, Any]:
    """What was read of some users, as score_users read it."""
    warehouse, spec = shown.warehouse, shown.predictor.manifest.history
    events, users = (
        warehouse.read(table.name).where(F.col("user_id").isin(user_ids)) for table in (schema.EVENTS, schema.USERS)
    )
    products, time_zone = warehouse.read(schema.PRODUCTS.name), warehouse.settings().time_zone
    rows = behaviour.build(events, products, users, shown.as_of, spec, time_zone).select("user_id", "history")
    return {row["user_id"]: row["history"].asDict(recursive=True) for row in rows.collect()}


def _example(shown: Shown, row: dict[str, Any], history: dict[str, Any]) -> list[str]:
    (text,) = shown.predictor.render([history])
    scores = [f"{name.replace('_', ' ')} {row[name]:,.2f}" for name in PREDICTED if row[name] is not None]
    if shown.future_known:
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
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")


if __name__ == "__main__":
    run_as_job(main)
