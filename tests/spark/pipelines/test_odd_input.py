"""Odd input, and a user with very many events: everyone is scored, in both units, and nothing is read twice."""

from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F

from jobs import score_users
from tests.spark import shop
from tests.spark.pipelines.test_nights import NETWORKS
from tests.spark.pipelines.test_score_users import by_user, command_line, last_run, publish
from ulvspark.contract import schema
from ulvspark.warehouse.tables import Warehouse

REVIEWS = {
    "user00": "😀🎉",
    "user01": "wonderful " * 5_000,
    "user02": "杯子很好，下次还会再买",
    "user03": " \n\t",
    "user04": "x" * 50_000,
}


def add_bot(warehouse: Warehouse, events: int) -> None:
    """A user who views something every ten seconds."""
    known = {
        "event_id": F.format_string("bot-%06d", "id"),
        "user_id": F.lit("bot"),
        "event_time": F.timestamp_seconds(1_577_836_800 + F.col("id") * 10),
        "event_type": F.lit("view"),
        "product_id": F.concat(F.lit("p"), F.col("id") % 3),
        "content_hash": F.col("id").cast("bigint"),
        "ingested_at": F.timestamp_seconds(F.lit(1_577_836_800)),
    }
    columns = [known.get(each.name, F.lit(None)).cast(each.type).alias(each.name) for each in schema.EVENTS.columns]
    warehouse.append(warehouse.spark.range(events).select(*columns), schema.EVENTS.name)


@pytest.mark.parametrize("unit", NETWORKS)
def test_odd_input_is_scored(spark, unit, tmp_path: Path):
    models = publish(tmp_path, NETWORKS[unit], "champion")
    warehouse = Warehouse(spark, str(tmp_path / "warehouse"))
    shop.fill(warehouse)
    shop.add_events(warehouse, [shop.review(user, text, 1) for user, text in REVIEWS.items()])
    add_bot(warehouse, 100_000)
    nothing = {name: "NULL" for name in ("title", "category", "brand")}
    DeltaTable.forPath(spark, f"{warehouse.root}/products").update(set=nothing)
    arguments = command_line(tmp_path, warehouse, models)

    assert score_users.main(arguments) == 0
    scores = by_user(warehouse)
    assert {user for user, row in scores.items() if row.status == "scored"} == {*shop.SHOPPERS, "bot"}
    assert {user for user, row in scores.items() if row.status == "no_history"} == {*shop.STRANGERS}
    assert all(row.expected_value >= 0 for row in scores.values() if row.status == "scored")

    assert score_users.main(arguments) == 0, "a night in which nothing happened"
    counts = last_run(warehouse).counts
    assert counts["histories_encoded"] == 0
    assert unit == "history" or counts["texts_encoded"] == 0
    again = by_user(warehouse)
    assert {user: row.expected_value for user, row in again.items()} == {
        user: row.expected_value for user, row in scores.items()
    }
