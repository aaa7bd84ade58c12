"""The simulated platform: repeatable, and its truth shows in what users do."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from jobs import simulate
from tests.spark import shop
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import SourceConfig
from ulvspark.intake.sources import map_source, read_source
from ulvspark.simulation.behaviour import event_log
from ulvspark.simulation.catalogue import catalogue
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.people import people, truth

CONFIG = SimulationConfig(users=600, products=200, days=365, visits_per_day=0.1)


@pytest.fixture(scope="module")
def platform(spark):
    everyone = people(spark, CONFIG)
    return event_log(everyone, CONFIG).toPandas(), truth(everyone, CONFIG).toPandas(), catalogue(spark, CONFIG)


def test_partitioning_changes_no_row(spark, platform):
    events, _, _ = platform
    again = event_log(people(spark, CONFIG).repartition(5, "id"), CONFIG).toPandas()
    key = ["event_id"]
    pd.testing.assert_frame_equal(
        events.sort_values(key).reset_index(drop=True), again.sort_values(key).reset_index(drop=True)
    )


def test_the_log_is_a_sound_source(platform):
    events, _, products = platform
    assert events.event_id.is_unique
    assert events.event_time.between("2023-01-01", "2024-01-01", inclusive="left").all()
    assert set(events.product_id.dropna()) <= {row.product_id for row in products.collect()}
    assert set(events.event_type) == {"purchase", "return", "view", "click", "cart", "search", "review"}
    assert (events.unit_price.dropna() <= events.list_price.dropna()).all()


def test_the_truth_shows_in_behaviour(platform):
    events, known, _ = platform
    bought = events[events.event_type == "purchase"]
    offers = (bought.unit_price < 0.95 * bought.list_price).groupby(bought.user_id).agg(["mean", "size"])
    buyers = known.set_index("user_id").join(offers, how="inner").query("size >= 8")
    assert buyers["mean"].corr(buyers.price_elasticity, method="spearman") > 0.4

    last_seen = events.groupby("user_id").event_time.max()
    seen = known.set_index("user_id").join(last_seen.dt.tz_localize(None), how="inner")
    assert (seen.event_time.dt.date <= seen.left_on + pd.Timedelta(days=16)).all()

    unhappy = events[events.text.fillna("").str.contains("broken|disappointed|never again")].user_id.unique()
    hazard = known.set_index("user_id").churn_hazard
    assert hazard[unhappy].median() > 1.3 * hazard.median()


def test_the_shipped_mapping_reads_what_the_job_writes(spark, tmp_path):
    conf = Path(__file__).parents[3] / "conf"
    small = ["users=30", "products=100", "days=60", "visits_per_day=0.2"]
    assert simulate.main([f"--config={conf / 'simulation.yaml'}", f"--out={tmp_path}", *small]) == 0
    source = load_config(SourceConfig, conf / "sources/simulated.yaml")
    mapped = read_source(map_source(spark, source, str(tmp_path), datetime(2026, 1, 1, tzinfo=UTC)), "run")
    assert mapped.quarantine.count() == 0
    written = spark.read.format("delta").load(str(tmp_path / "events")).toPandas().set_index("event_id").event_time
    read = mapped.events.toPandas().set_index("event_id").event_time
    pd.testing.assert_series_equal(read.sort_index(), written.sort_index())


def test_a_warehouse_is_not_overwritten_by_made_up_users(warehouse):
    shop.fill(warehouse)
    with pytest.raises(ExpectedError, match=r"--out .* is a warehouse, .*; give another folder"):
        simulate.main([f"--out={warehouse.root}", "users=30"])
    assert warehouse.version("events") == 1
