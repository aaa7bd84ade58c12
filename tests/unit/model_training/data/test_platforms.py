"""Learning from several platforms: each row within its own population, and no label of where it is judged."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from model_training import blend, evaluate, finetune, recalibrate
from model_training.baselines import boosting
from model_training.data.dataset import at_home, read_training_set, restrict, split
from model_training.data.platforms import ELSEWHERE, check_amounts, learned, read_platforms
from model_training.runs.folders import run_folder
from tests import training_set
from tests.training_set import CONFIG, META, PROTOCOL, SMALL
from tests.unit.model_training.test_evaluate import IN_MONEY, publish
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import TRAINING_SET_META, TrainingSetMeta
from ulvspark.model.bundle.manifest import read_manifest
from ulvspark.model.bundle.store import open_store

NUMBERS_ALONE = [*SMALL, "network.use_text=false", "tuning.freeze=head"]


def write(root: Path, currency: str, seed: int, price: float = 1.0, meta: TrainingSetMeta = META) -> str:
    """A platform of the same dates, whose amounts are ``price`` times those of ``tests.training_set``."""
    rows = training_set.frame(seed=seed)
    rows[["spend", *training_set.SPEC.money_numbers]] *= price
    training_set.write(root, rows)
    said = meta.model_copy(update={"currency": currency}).model_dump_json()
    DeltaTable(root / "training_set").alter.set_table_properties({TRAINING_SET_META: said}, raise_if_not_exists=False)
    populations = DeltaTable(root / "populations").to_pyarrow_table().to_pylist()
    for each in populations:
        each["platform_scale"] *= price
        each["quantiles"] = [(name, [price * value for value in values]) for name, values in each["quantiles"]]
    schema = DeltaTable(root / "populations").to_pyarrow_table().schema
    write_deltalake(root / "populations", pa.Table.from_pylist(populations, schema), mode="overwrite")
    return str(root)


@pytest.fixture(scope="module")
def dear(tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("dear"), "JPY", seed=5, price=100)


def test_each_row_lies_within_its_own_population(training_warehouse, dear):
    home, other = read_training_set(training_warehouse), read_training_set(dear)
    both = read_platforms(training_warehouse, [dear], "validation")
    known = other.rows["as_of_date"].isin(PROTOCOL.origins_closed_by(PROTOCOL.validation_cut)).to_numpy()
    assert len(both.rows) == len(home.rows) + known.sum()
    np.testing.assert_array_equal(both.features(), np.vstack([home.features(), other.features()[known]]))
    np.testing.assert_array_equal(both.scales(), [*[20.0] * len(home.rows), *[2000.0] * known.sum()])


def test_the_cut_is_the_homes_and_others_only_teach(training_warehouse, dear):
    both = restrict(read_platforms(training_warehouse, [dear], "validation"), PROTOCOL.validation_cut)
    parts = split(both.rows, PROTOCOL.validation_cut, held_out_share=0.2, min_users=2)
    platform = both.rows["platform"].to_numpy()
    assert set(platform[parts.cut]) == {0}
    assert set(platform[parts.fit]) == {0, 1}
    assert set(both.rows["as_of_date"][platform == 1]) == set(PROTOCOL.origins_closed_by(PROTOCOL.validation_cut))
    assert at_home(both.rows, [PROTOCOL.dates[0]]).sum() == 60


def test_platforms_of_other_horizons_are_refused(training_warehouse, tmp_path):
    shorter = META.model_copy(update={"protocol": PROTOCOL.model_copy(update={"horizon_days": 20})})
    write(tmp_path, "EUR", seed=5, meta=shorter)
    with pytest.raises(ExpectedError, match=r"protocol\.horizon_days is 20, but 30 at home"):
        read_platforms(training_warehouse, [str(tmp_path)], "validation")


def test_bounds_in_money_divide_no_other_currency(training_warehouse, dear, tiny_bert, tmp_path):
    where = ["--warehouse", training_warehouse, "--elsewhere", dear, "--runs", str(tmp_path), "--config", str(CONFIG)]
    in_money = ["tiers.quantiles=null", "tiers.amounts=[10,40]"]
    with pytest.raises(ExpectedError, match=r"bounds are in GBP, but a platform is in JPY; give tiers\.quantiles"):
        finetune.main([*where, *NUMBERS_ALONE, *in_money])
    twin = write(tmp_path / "twin", "GBP", seed=5)
    check_amounts(read_platforms(training_warehouse, [twin], "validation"))
    elsewhere = [{"run_id": META.run_id, "currency": "JPY", "time_zone": "UTC", "training_origins": ["2020-01-01"]}]
    origins = PROTOCOL.origins_closed_by(PROTOCOL.validation_cut)
    config = {ELSEWHERE: elsewhere, "validation": {"held_out_share": 0.3}}
    made = {"training_origins": origins, "tiers": IN_MONEY, "config": config}
    models = publish(tmp_path, tiny_bert, **made)
    with pytest.raises(ExpectedError, match="bounds are in GBP, but a platform is in JPY"):
        blend.main(["--warehouse", training_warehouse, "--models", models, "--elsewhere", dear])
    with pytest.raises(ExpectedError, match="has tier bounds in GBP, the warehouse is in JPY"):
        recalibrate.main(["--warehouse", dear, "--models", models])


def test_a_bundle_of_two_platforms_is_trained_blended_and_judged_on_a_third(
    training_warehouse, dear, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(boosting.SETTINGS, "n_estimators", 5)
    where = ["--warehouse", training_warehouse, "--models", str(tmp_path / "models")]
    run = ["--runs", str(tmp_path / "runs"), "--config", str(CONFIG), *NUMBERS_ALONE]
    finetune.main([*where, "--elsewhere", dear, *run])
    with pytest.raises(ExpectedError, match="give the same --elsewhere"):
        blend.main(where)
    blend.main([*where, "--elsewhere", dear, "trees.min_leaf=5", "trees.max_rounds=5"])
    manifest = read_manifest(open_store(str(tmp_path / "models")).fetch("champion", tmp_path / "fetched"))
    assert [each.currency for each in learned(manifest)] == ["GBP", "JPY"]
    third = write(tmp_path / "third", "EUR", seed=9)
    judged = ["--models", str(tmp_path / "models"), "--cut", "test", "--out", str(tmp_path / "out")]
    evaluate.main(["--warehouse", third, *judged])
    assert "has seen no label of this one" in capsys.readouterr().out
    protocol = json.loads((tmp_path / "out/evaluation.json").read_text())["protocol"]
    assert (protocol["same_platform"], protocol["bundle_platforms"]) == (False, 2)


def test_labels_learned_elsewhere_count_as_learned(training_warehouse, tiny_bert, tmp_path):
    late = [{"run_id": "x", "currency": "GBP", "time_zone": "Europe/London", "training_origins": ["2020-03-05"]}]
    models = publish(tmp_path, tiny_bert, date(2020, 1, 1), currency="USD", config={ELSEWHERE: late})
    judged = ["--warehouse", training_warehouse, "--models", models, "--cut", "validation", "--out", str(tmp_path)]
    with pytest.raises(ExpectedError, match="learned from labels as of 2020-03-05"):
        evaluate.main(judged)


def test_runs_that_learn_elsewhere_have_folders_of_their_own(training_warehouse, dear, tmp_path):
    both = read_platforms(training_warehouse, [dear], "validation")
    config = training_set.small(tmp_path)
    alone = run_folder(tmp_path, config, META, "validation")
    assert run_folder(tmp_path, config, META, "validation", both.elsewhere) != alone
