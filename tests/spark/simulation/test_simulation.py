"""The simulated platform as Delta tables: as the one in memory, added to by days, loaded by its mapping."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from jobs import simulate
from tests.spark import shop
from ulvspark.contract.assignment import position_sql, positions
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import SourceConfig
from ulvspark.intake.sources import map_source, read_source
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.platform import Platform, simulate_platform
from ulvspark.warehouse.tables import Warehouse

CONF = Path(__file__).parents[3] / "conf"
SMALL = ["users=1200", "products=100", "days=100", "joining_days=100", "behaviour.visits_per_day=0.1"]
DELIVERIES = [f"deliveries.{name}=0.1" for name in ("late", "corrected", "deleted")]
OFFERS = [
    "offers=[{name: ten, salt: s, holdout: 0.5, first_day: 2023-02-01, every_days: 30, buying: 3.0, lasts_days: 20}]"
]


def run(out: Path, *more: str) -> None:
    flags = [each for each in more if each.startswith("--")]
    settings = [each for each in more if not each.startswith("--")]
    assert simulate.main([f"--config={CONF / 'simulation.yaml'}", f"--out={out}", *flags, *SMALL, *settings]) == 0


def in_memory(*more: str) -> Platform:
    return simulate_platform(load_config(SimulationConfig, CONF / "simulation.yaml", [*SMALL, *more]))


def written(spark, folder: Path, name: str, key: list[str]) -> pd.DataFrame:
    frame = spark.read.format("delta").load(str(folder / name)).toPandas()
    return frame.sort_values(key).reset_index(drop=True)


def expected(table: pa.Table, key: list[str]) -> pd.DataFrame:
    frame = table.to_pandas().sort_values(key).reset_index(drop=True)
    times = frame.select_dtypes("datetimetz").columns
    return frame.assign(**{name: frame[name].dt.tz_localize(None) for name in times})


@pytest.fixture(scope="module")
def out(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    run(folder, *OFFERS, *DELIVERIES)
    return folder


def test_the_tables_are_those_of_the_platform_in_memory(spark, out):
    made = in_memory(*OFFERS, *DELIVERIES)
    for name, key in {"events": ["event_id"], "users": ["user_id"]}.items():
        pd.testing.assert_frame_equal(
            written(spark, out, name, key), expected(getattr(made, name), key), check_dtype=False
        )
    truth = written(spark, out / "truth", "truth_users", ["user_id"])
    pd.testing.assert_frame_equal(truth, expected(made.truth_users, ["user_id"]), check_dtype=False)
    effects = written(spark, out / "truth", "truth_offers", ["user_id"])
    pd.testing.assert_frame_equal(effects, expected(made.truth_offers, ["user_id"]), check_dtype=False)


def test_exposures_are_of_the_treatment_arm_by_the_hash_of_the_contract(spark, out):
    exposed = written(spark, out, "exposures", ["exposed_on", "user_id"])
    assert set(exposed.exposed_on) == {date(2023, 2, 1), date(2023, 3, 3), date(2023, 4, 2)}
    assert (positions("s", exposed.user_id) >= 0.5).all()
    users = written(spark, out, "users", ["user_id"])
    joined = users[pd.to_datetime(users.signup) <= "2023-02-01"].user_id
    treated = joined[positions("s", joined) >= 0.5]
    assert set(exposed[exposed.exposed_on == date(2023, 2, 1)].user_id) == set(treated)


def test_days_added_come_to_the_same_as_all_at_once(spark, out, tmp_path):
    for until in ("2023-03-20", "2023-04-09", "2023-04-11"):
        run(tmp_path, f"--until={until}", *OFFERS, *DELIVERIES)
    for name, key in {"events": ["event_id"], "users": ["user_id"], "exposures": ["user_id", "exposed_on"]}.items():
        pd.testing.assert_frame_equal(written(spark, tmp_path, name, key), written(spark, out, name, key))
    with pytest.raises(ExpectedError, match=r"--until 2023-04-11: .* was simulated until 2023-04-11; give a later"):
        run(tmp_path, "--until=2023-04-11", *OFFERS, *DELIVERIES)
    with pytest.raises(ExpectedError, match="holds a platform of another configuration"):
        run(tmp_path, "--until=2023-05-11", *OFFERS, *DELIVERIES, "seed=8")


def test_offers_go_to_whom_last_night_assigned_them(spark, tmp_path):
    run(tmp_path / "sim", "--until=2023-01-30", *OFFERS)
    night = [("u1", "ten", "treatment"), ("u2", "ten", "holdout"), ("u3", "ten", "treatment")]
    assignments = Warehouse(spark, str(tmp_path))
    assignments.overwrite(spark.createDataFrame(night, "user_id STRING, offer STRING, arm STRING"), "assignments")
    run(tmp_path / "sim", "--until=2023-02-05", f"--assignments={tmp_path}/assignments", *OFFERS)
    exposed = written(spark, tmp_path / "sim", "exposures", ["user_id"])
    assert exposed[["user_id", "exposed_on"]].values.tolist() == [["u1", date(2023, 1, 30)], ["u3", date(2023, 1, 30)]]
    assignments.overwrite(assignments.read("assignments").withColumn("offer", F.lit("twenty")), "assignments")
    with pytest.raises(ExpectedError, match=r"names offers that are not simulated \(twenty\)"):
        run(tmp_path / "sim", "--until=2023-02-06", f"--assignments={tmp_path}/assignments", *OFFERS)


def test_the_position_of_a_user_is_the_same_in_sql(spark):
    users = ["u1", "ü2", "a user", "x" * 300]
    frame = spark.createDataFrame([(user,) for user in users], "user_id STRING")
    found = [row[0] for row in frame.select(F.expr(position_sql("spring-24", "user_id"))).collect()]
    assert found == positions("spring-24", users).tolist()


def test_the_shipped_mapping_reads_what_the_job_writes(spark, out):
    source = load_config(SourceConfig, CONF / "sources/simulated.yaml")
    mapped = read_source(map_source(spark, source, str(out), datetime(2026, 1, 1, tzinfo=UTC)), "run")
    assert mapped.quarantine.count() == 0
    read = mapped.events.toPandas().set_index("event_id").event_time
    there = written(spark, out, "events", ["event_id"]).set_index("event_id").event_time
    pd.testing.assert_series_equal(read.sort_index(), there.sort_index())
    attributes = mapped.users.where("attributes['loyalty'] = 'gold'").count()
    assert 0 < attributes < 400


def test_pictures_lie_where_the_products_say(tmp_path, spark):
    run(tmp_path, "pictures.write=true", "pictures.pixels=16", "pictures.huge=0")
    products = written(spark, tmp_path, "products", ["product_id"])
    trouble = written(spark, tmp_path / "truth", "truth_products", ["product_id"]).picture
    there = products.picture.map(lambda path: (tmp_path / path).exists())
    assert (there == (trouble != "missing")).all()


def test_a_warehouse_is_not_overwritten_by_made_up_users(warehouse):
    shop.fill(warehouse)
    with pytest.raises(ExpectedError, match=r"--out .* is a warehouse, .*; give another folder"):
        simulate.main([f"--out={warehouse.root}", "users=30"])
    assert warehouse.version("events") == 1


def test_a_day_before_the_platform_is_one_sentence(tmp_path):
    day = date(2023, 1, 1) - timedelta(days=3)
    with pytest.raises(ExpectedError, match="--until 2022-12-29: the platform begins on 2023-01-01; give a later date"):
        run(tmp_path, f"--until={day}")
