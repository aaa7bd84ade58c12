"""The job from a loaded warehouse to a training set, and what it refuses."""

import json
from datetime import date
from pathlib import Path

import pytest

from jobs import build_training_set
from tests.spark import shop
from ulvspark.contract import schema
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import TRAINING_SET_META, TrainingSetMeta
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.population import Population
from ulvspark.warehouse.tables import Warehouse

HISTORY = Path(__file__).parents[3] / "conf/history.yaml"
LAST_CUT = date(2020, 3, 2)
"""Its window ends with the day of the shop's newest event, 11 March."""

ROLLING = {"horizon_days": 10, "origin_every_days": 7, "origins": 1}


def command_line(folder, warehouse, test_cut=LAST_CUT, currency="GBP", **changes):
    source = {
        "name": "shop",
        "currency": currency,
        "time_zone": "Europe/London",
        "events": [{"read": {"format": "parquet", "path": "events"}, "columns": {}}],
        "protocol": {
            "horizon_days": 10,
            "training_origins": ["2020-02-01"],
            "validation_cut": "2020-02-12",
            "test_cut": str(test_cut),
        },
    } | changes
    path = folder / "shop.yaml"
    path.write_text(json.dumps(source))
    return ["--source", str(path), "--history", str(HISTORY), "--warehouse", warehouse.root]


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """A loaded shop."""
    loaded = Warehouse(spark, str(tmp_path_factory.mktemp("shop") / "warehouse"))
    shop.fill(loaded)
    return loaded


def statuses(warehouse):
    return [row.status for row in warehouse.read("ulv_runs").orderBy("started_at").collect()]


def test_what_the_data_cannot_answer_is_refused_before_anything_is_written(warehouse, tmp_path):
    late = command_line(tmp_path, warehouse, test_cut=date(2020, 3, 3))
    with pytest.raises(
        ExpectedError, match="10 days from 2020-03-03 reach to 2020-03-13, but the data end on 2020-03-11"
    ):
        build_training_set.main(late)
    with pytest.raises(ExpectedError, match=r"is in EUR and Europe/London, but warehouse .* holds GBP"):
        build_training_set.main(command_line(tmp_path, warehouse, currency="EUR"))
    with pytest.raises(ExpectedError, match="source shop has no protocol, which says on which dates to train; add one"):
        build_training_set.main(command_line(tmp_path, warehouse, protocol=None))
    with pytest.raises(ExpectedError, match=r"--as-of 2020-03-13: the data end on 2020-03-11, .* load newer events"):
        build_training_set.main([*command_line(tmp_path, warehouse, protocol=ROLLING), "--as-of", "2020-03-13"])
    with pytest.raises(ExpectedError, match="the data begin on 2019-11-29, and 9 of the 22 dates to train on"):
        build_training_set.main(command_line(tmp_path, warehouse, protocol=ROLLING | {"origins": 20}))
    assert not warehouse.exists(schema.TRAINING_SET)
    assert statuses(warehouse) == ["failed"] * 5


def test_a_mistyped_warehouse_stays_unwritten(spark, tmp_path):
    nowhere = Warehouse(spark, str(tmp_path / "typo"))
    with pytest.raises(ExpectedError, match="has no table events; run the job that writes it first"):
        build_training_set.main(command_line(tmp_path, nowhere))
    assert not (tmp_path / "typo").exists()


def test_a_training_set_is_replaced_as_a_whole_and_says_what_it_was_made_of(warehouse, tmp_path, capsys):
    warehouse.overwrite(warehouse.spark.createDataFrame([("old", 1)], "user_id STRING, old INT"), schema.TRAINING_SET)
    assert build_training_set.main(command_line(tmp_path, warehouse)) == 0

    rows = warehouse.read(schema.TRAINING_SET).toPandas()
    meta = TrainingSetMeta.model_validate_json(warehouse.properties(schema.TRAINING_SET)[TRAINING_SET_META])
    spec = HistorySpec()
    assert list(rows.columns) == [
        "user_id", "as_of_date", "history", "history_hash", *spec.numbers,
        *(column.name for column in schema.LABELS), "run_id",
    ]  # fmt: skip
    assert not rows.duplicated(["user_id", "as_of_date"]).any()
    # The k-th shopper first bought 5 + 8k days before 1 March.
    assert rows.groupby("as_of_date")["user_id"].nunique().to_dict() == {
        date(2020, 2, 1): 8, date(2020, 2, 12): 10, LAST_CUT: 12,
    }  # fmt: skip
    assert set(rows["run_id"]) == {meta.run_id}
    assert (meta.history_spec, meta.currency, meta.protocol.test_cut) == (spec, "GBP", LAST_CUT)
    assert meta.data_versions == {name: warehouse.version(name) for name in ("events", "products", "users")}

    populations = [Population.from_row(row.asDict()) for row in warehouse.read("populations").collect()]
    assert sorted(each.as_of for each in populations) == list(meta.protocol.dates)
    assert statuses(warehouse)[-1] == "done"
    [run] = warehouse.read("ulv_runs").orderBy("started_at", ascending=False).limit(1).collect()
    assert run.counts["eligible_users_2020-03-02"] == 12
    assert (run.metrics["churned_share_2020-03-02"], run.metrics["mean_spend_2020-03-02"]) == (1.0, 0.0)
    assert f"training set of 3 dates in {warehouse.root}, run {meta.run_id}" in capsys.readouterr().out
    assert list(Path(warehouse.root).glob("staging*")) == []


def test_rolling_dates_move_with_the_data_and_are_kept_with_the_rows(warehouse, tmp_path, capsys):
    """A day later the same YAML gives windows a day later, which end with the newest day that is complete."""
    command = command_line(tmp_path, warehouse, protocol=ROLLING)
    assert build_training_set.main(command) == 0
    assert kept_dates(warehouse) == [date(2020, 2, 10), date(2020, 2, 20), date(2020, 3, 1)]
    assert "training origins 2020-02-10; validation cut 2020-02-20; test cut 2020-03-01" in capsys.readouterr().out
    assert build_training_set.main([*command, "--as-of", "2020-03-12"]) == 0
    assert kept_dates(warehouse) == [date(2020, 2, 11), date(2020, 2, 21), date(2020, 3, 2)]


def kept_dates(warehouse):
    """The dates that the training set has rows for, and says it has."""
    meta = TrainingSetMeta.model_validate_json(warehouse.properties(schema.TRAINING_SET)[TRAINING_SET_META])
    rows = warehouse.read(schema.TRAINING_SET).select("as_of_date").distinct().collect()
    assert sorted(row.as_of_date for row in rows) == list(meta.protocol.dates)
    return list(meta.protocol.dates)
