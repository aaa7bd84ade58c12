"""Blended bundles: the parts, their weights, their files, and what renewing a bundle leaves as it was."""

import shutil
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from model_training.blend import blend_bundle, weights_of
from model_training.blend import main as blend_main
from model_training.blending.config import BlendConfig
from model_training.blending.renewal import calibration_windows
from model_training.blending.weights import choose_weights, loss, share_among_parts, simplex
from model_training.data.dataset import TrainingSet, held_out, read_training_set
from model_training.evaluation.bundle_metrics import score_rows
from model_training.recalibrate import main as recalibrate_main
from model_training.recalibrate import recalibrate_bundle
from tests import tiny
from tests import training_set as made
from tests.outcomes import outcome
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.heads import DEFAULT_HEADS, HEADS
from ulvspark.contract.spec import NetworkSpec
from ulvspark.model.bundle import golden_users
from ulvspark.model.bundle.manifest import read_manifest
from ulvspark.model.bundle.store import open_store
from ulvspark.model.parts.blend import Weights, blend
from ulvspark.model.parts.predictions import Decisions, Predicted
from ulvspark.model.predictor import Predictor

ROOT = Path(__file__).parents[3]
CONFIG = load_config(BlendConfig, ROOT / "conf/blend.yaml", ["trees.max_rounds=20", "trees.min_leaf=5"])
PROTOCOL = made.PROTOCOL
USERS = golden_users.make_users(made.SPEC)
PEOPLE = 300
SCORES = tuple(name for head in DEFAULT_HEADS for name in HEADS[head].columns)


@pytest.fixture(scope="module")
def warehouse_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write(tmp_path_factory.mktemp("warehouse"), made.frame(PEOPLE))


@pytest.fixture(scope="module")
def data(warehouse_root: Path) -> TrainingSet:
    return read_training_set(str(warehouse_root))


def saved(folder: Path, base: Path, network: NetworkSpec | None = None, cut: str = "validation") -> Path:
    """A bundle such as fine-tuning leaves it, for a cut of ``PROTOCOL``."""
    cut_date = PROTOCOL.validation_cut if cut == "validation" else PROTOCOL.test_cut
    about = tiny.facts(network or NetworkSpec(use_text=False, hidden_size=8)).model_copy(update={
        "history": made.SPEC, "horizon_days": PROTOCOL.horizon_days,
        "training_origins": PROTOCOL.origins_closed_by(cut_date),
        "config": {"validation": {"held_out_share": 0.3}},
    })  # fmt: skip
    return tiny.bundle_folder(folder, base, about)


EVEN = {
    **{head: {"network": 0.5, "trees": 0.25, "linear": 0.25} for head in ("tier", "spend", "churn")},
    "price_sensitivity": {"network": 0.5, "trees": 0.5},
}


@pytest.fixture(scope="module")
def blended(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, data: TrainingSet) -> Path:
    """A bundle with every part."""
    folder = tmp_path_factory.mktemp("blended")
    blend_bundle(saved(folder / "a", tiny_bert), folder / "b", data, "validation", CONFIG, EVEN)
    return folder / "b"


def decide(scorer: Predictor, rows: slice = slice(None)) -> Decisions:
    vectors = scorer.encode(USERS.histories[rows])
    return scorer.decide(vectors, USERS.numbers[rows], USERS.population)


def test_even_weights_give_the_mean() -> None:
    one = {"churn": Predicted(np.array([0.2, 0.4])), "tier": Predicted(np.array([[0.5, 0.5], [1, 0]]))}
    two = {"churn": Predicted(np.array([0.6, 0.4])), "tier": Predicted(np.array([[0.1, 0.9], [0, 1]]))}
    mean = blend({"network": one, "trees": two}, {head: {"network": 0.5, "trees": 0.5} for head in DEFAULT_HEADS})
    np.testing.assert_allclose(mean["churn"].value, [0.4, 0.4])
    np.testing.assert_allclose(mean["tier"].value, [[0.3, 0.7], [0.5, 0.5]])
    alone = blend({"network": one, "trees": two}, {})
    np.testing.assert_array_equal(alone["churn"].value, one["churn"].value)
    assert alone.keys() == {"churn", "tier"}


def test_a_bundle_serves_the_calibrated_mean_of_its_parts(blended: Path) -> None:
    scorer = Predictor.load(blended).scorer
    vectors = np.empty((len(USERS.numbers), 0), np.float32)
    parts = scorer.predict(vectors, USERS.numbers, USERS.population)
    assert set(parts) == {"network", "trees", "linear"}
    spend = {part: prediction["spend"].value for part, prediction in parts.items()}
    mean = 0.5 * spend["network"] + 0.25 * spend["trees"] + 0.25 * spend["linear"]
    served = scorer.decide(vectors, USERS.numbers, USERS.population)
    level = scorer.parts.calibration.heads["spend"].level
    np.testing.assert_allclose(served["expected_value"], level * mean * USERS.population.platform_scale)
    np.testing.assert_allclose(served["tier_probabilities"].sum(axis=1), 1, atol=1e-12)
    assert (served["expected_value_low"] <= served["expected_value_median"]).all()
    assert (served["expected_value_median"] <= served["expected_value_high"]).all()


def test_a_blended_bundle_tests_itself_and_does_not_depend_on_company(blended: Path) -> None:
    scorer = Predictor.load(blended, threads=1)
    scorer.self_test()
    whole = decide(scorer)
    for name in SCORES:
        one_by_one = [decide(scorer, slice(row, row + 1))[name][0] for row in range(len(USERS.numbers))]
        np.testing.assert_allclose(one_by_one, whole[name], rtol=1e-5)
    nobody = decide(scorer, slice(0, 0))
    assert nobody["tier_probabilities"].shape == (0, 3)
    assert len(nobody["expected_value_high"]) == 0


def test_a_bundle_with_the_head_orders_predicts_their_number(
    tiny_bert: Path, tmp_path: Path, data: TrainingSet
) -> None:
    network = NetworkSpec(use_text=False, hidden_size=8, heads=(*DEFAULT_HEADS, "orders"))
    weights = {**EVEN, "orders": {"network": 0.2, "trees": 0.4, "linear": 0.4}}
    source = saved(tmp_path / "a", tiny_bert, network)
    made_bundle = blend_bundle(source, tmp_path / "b", data, "validation", CONFIG, weights)
    scorer = Predictor.load(tmp_path / "b")
    scorer.self_test()
    rows = np.flatnonzero(data.rows["as_of_date"] == PROTOCOL.validation_cut)
    expected = score_rows(scorer, data, rows)["expected_orders"]
    assert np.isfinite(expected).all()
    assert (expected > 0).all()
    actual = data.rows["orders_in_horizon"].to_numpy()[rows]
    assert expected.mean() == pytest.approx(actual.mean(), rel=0.15)
    assert np.corrcoef(expected, actual)[0, 1] > 0.5
    for part in ("", "trees_", "linear_"):
        assert made_bundle.metrics[f"{part}validation_orders_spearman"] > 0.4
    assert made_bundle.metrics["validation_orders_total_ratio"] == pytest.approx(1, abs=0.15)
    assert "| number of orders | 0.2 | 0.4 | 0.4 |" in (tmp_path / "b" / "README.md").read_text()


def test_a_bundle_without_the_head_orders_says_nothing_about_them(blended: Path) -> None:
    assert "expected_orders" not in decide(Predictor.load(blended))
    assert not any("orders" in name for name in read_manifest(blended).files | read_manifest(blended).metrics)


def test_copied_by_way_of_a_store_it_scores_the_same(blended: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "models"))
    version = store.publish(blended)
    one, two = (decide(Predictor.load(folder)) for folder in (blended, store.fetch(version, tmp_path / "x")))
    for name in SCORES:
        np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.parametrize("name", ["trees/tier.txt", "trees/spread.json", "linear.json", "calibration.json"])
def test_a_flipped_byte_is_noticed(blended: Path, tmp_path: Path, name: str) -> None:
    copied = shutil.copytree(blended, tmp_path / "copied")
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(ExpectedError, match=f"{name}: corrupted"):
        Predictor.load(copied)


def test_self_test_covers_the_parts(blended: Path) -> None:
    scorer = Predictor.load(blended)
    parts = scorer.scorer.parts
    calibration = parts.calibration
    churn = calibration.heads["churn"].model_copy(update={"offset": 3.0})
    moved = calibration.model_copy(update={"heads": {**calibration.heads, "churn": churn}})
    scorer.scorer = replace(scorer.scorer, parts=replace(parts, calibration=moved))
    with pytest.raises(ExpectedError, match="has another churn_probability"):
        scorer.self_test()


def test_without_lightgbm_one_sentence_says_what_to_install(
    blended: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(
        ExpectedError, match=r"need lightgbm, which is not installed; run `pip install 'ulvspark\[gbm\]'`"
    ):
        Predictor.load(blended)
    Predictor.load(tiny_bundle)


def test_the_card_and_the_manifest_say_how_it_is_blended(blended: Path) -> None:
    manifest = read_manifest(blended)
    assert manifest.blend == EVEN
    assert {"validation_spearman", "trees_validation_spearman", "validation_coverage"} <= set(manifest.metrics)
    assert "| churn | 0.5 | 0.25 | 0.25 |" in (blended / "README.md").read_text().replace(
        "probability of leaving", "churn"
    )


def test_trees_are_the_same_every_time(blended: Path, tiny_bert: Path, tmp_path: Path, data: TrainingSet) -> None:
    blend_bundle(saved(tmp_path / "a", tiny_bert), tmp_path / "b", data, "validation", CONFIG, EVEN)
    assert read_manifest(tmp_path / "b").files == read_manifest(blended).files


def test_weights_go_to_parts_that_have_learned_and_parts_without_weight_are_left_out(
    tiny_bert: Path, tmp_path: Path, data: TrainingSet
) -> None:
    """The network is random here; the trees and the linear model have learned."""
    found = blend_bundle(saved(tmp_path / "a", tiny_bert), tmp_path / "b", data, "validation", CONFIG, None)
    for head in ("spend", "churn", "tier"):
        assert found.blend[head]["network"] <= 0.25
    assert found.metrics["validation_churn_auc"] > found.metrics["network_validation_churn_auc"] + 0.1
    alone = {head: {"network": 1.0} for head in DEFAULT_HEADS}
    kept = blend_bundle(tmp_path / "a", tmp_path / "c", data, "validation", CONFIG, alone)
    assert not any(name.startswith(("trees", "linear")) for name in kept.files)
    assert "calibration.json" in kept.files


@pytest.mark.parametrize("given", [None, EVEN])
@pytest.mark.parametrize("unknown", [1.0, 0.3])
def test_without_a_known_price_sensitivity_that_head_is_the_networks(
    tiny_bert: Path, tmp_path: Path, data: TrainingSet, given: Weights | None, unknown: float
) -> None:
    """Nobody's is known, or all but those of the held-out users, by whom the trees would know when to stop."""
    known = data.rows["price_sensitivity"].where(~held_out(data.rows, unknown))
    some = replace(data, rows=data.rows.assign(price_sensitivity=known))
    found = blend_bundle(saved(tmp_path / "a", tiny_bert), tmp_path / "b", some, "validation", CONFIG, given)
    assert found.blend["price_sensitivity"] == {"network": 1.0}
    assert found.blend["churn"].keys() == {"network", "trees", "linear"}
    assert np.isfinite(list(found.metrics.values())).all()
    served = Predictor.load(tmp_path / "b")
    served.self_test()
    assert not any("price_sensitivity" in name for name in found.files)
    assert "price_sensitivity" not in served.scorer.parts.calibration.heads


def test_weights_without_labels_to_choose_by_are_even() -> None:
    same = {"price_sensitivity": Predicted(np.array([0.1, 0.9]))}
    found = choose_weights({"network": same, "trees": same}, outcome(2), ("price_sensitivity",), 0.25)
    assert found == {"price_sensitivity": {"network": 0.5, "trees": 0.5}}


def test_weights_are_shared_among_the_parts_that_predict_a_head() -> None:
    some, nothing = {"churn": Predicted(np.array([0.5]))}, {}
    weights = {"churn": {"network": 0.2, "trees": 0.6, "linear": 0.2}}
    found = share_among_parts(weights, {"network": some, "trees": nothing, "linear": some})
    assert found == {"churn": {"network": 0.5, "linear": 0.5}}
    trees_alone = {"churn": {"network": 0.0, "trees": 1.0}}
    assert share_among_parts(trees_alone, {"network": some, "trees": nothing}) == {"churn": {"network": 1.0}}


def test_counts_are_weighed_by_their_order_whatever_their_level() -> None:
    count = np.array([0.0, 1.0, 3.0, 6.0])
    too_high, wrong_order = 10 * count + 0.1, count[::-1].copy() + 0.1
    assert loss("count", too_high, count) < loss("count", wrong_order, count)
    assert loss("count", too_high, count) == pytest.approx(loss("count", too_high / 10, count), abs=0.01)


def test_weights_are_shares() -> None:
    tried = list(simplex(3, 4))
    assert len(tried) == len(set(tried)) == 15
    assert all(sum(each) == 1 for each in tried)
    left = outcome(4, churn=np.array([0.0, 1, 0, 1]))
    right, wrong = ({"churn": Predicted(np.array(churn))} for churn in ([0.1, 0.9, 0.1, 0.9], [0.9, 0.1, 0.9, 0.1]))
    assert choose_weights({"network": wrong, "trees": right}, left, ("churn",), 0.25)["churn"] == {
        "network": 0,
        "trees": 1,
    }


def test_the_commands_renew_a_bundle_and_leave_its_encoder_as_it_was(
    tiny_bert: Path, tmp_path: Path, warehouse_root: Path
) -> None:
    network, models = NetworkSpec(unit="history", vector_size=16, hidden_size=8), str(tmp_path / "models")
    store = open_store(models)
    first = store.publish(saved(tmp_path / "a", tiny_bert, network))
    store.point("champion", first, None)
    places = ["--warehouse", str(warehouse_root), "--models", models, "--config", str(ROOT / "conf/blend.yaml")]
    assert blend_main([*places, "trees.max_rounds=5"]) == 0
    second = store.resolve("champion")
    assert recalibrate_main(places) == 0
    third = store.resolve("champion")
    manifests = [read_manifest(store.fetch(version, tmp_path)) for version in (first, second, third)]
    assert len({manifest.version for manifest in manifests}) == 3
    assert len({manifest.user_encoder_version for manifest in manifests}) == 1
    for name in manifests[0].files:
        if name.startswith("encoder/") or name == "heads.safetensors":
            assert len({manifest.files[name] for manifest in manifests}) == 1
    assert manifests[1].files["calibration.json"] != manifests[2].files["calibration.json"]
    changed = ("calibration.json", "golden.parquet", "README.md")
    assert all(manifests[2].files[name] == digest for name, digest in manifests[1].files.items() if name not in changed)
    assert manifests[2].blend == manifests[1].blend == weights_of(models, "champion")
    with pytest.raises(ExpectedError, match=f"{first} is not blended"):
        weights_of(models, first)


def test_recalibration_measures_only_users_the_bundle_has_not_seen(
    tiny_bert: Path, tmp_path: Path, data: TrainingSet
) -> None:
    newest = load_config(BlendConfig, ROOT / "conf/blend.yaml", ["calibration.days=1"])
    recalibrate_bundle(saved(tmp_path / "a", tiny_bert), tmp_path / "b", data, newest)
    found = Predictor.load(tmp_path / "b").scorer.parts.calibration
    assert (found.windows, found.users) == ((PROTOCOL.test_cut,), PEOPLE)
    until = data.rows[data.rows["as_of_date"] <= PROTOCOL.validation_cut]
    earlier = replace(data, rows=until.reset_index(drop=True))
    recalibrate_bundle(saved(tmp_path / "c", tiny_bert, cut="test"), tmp_path / "d", earlier, CONFIG)
    found = Predictor.load(tmp_path / "d").scorer.parts.calibration
    assert found.windows == PROTOCOL.dates[:3]
    assert found.users == held_out(until, 0.3).sum() / 3 < PEOPLE


def test_calibration_windows_hold_the_seasons_of_a_year_and_no_more() -> None:
    closed = [date(2019, 3, 2), date(2019, 3, 1), date(2020, 2, 1), date(2020, 2, 29)]
    assert calibration_windows(closed, 365) == (date(2019, 3, 2), date(2020, 2, 1), date(2020, 2, 29))
    assert calibration_windows(closed, 1) == (date(2020, 2, 29),)


def test_a_bundle_of_another_cut_is_refused(tiny_bert: Path, tmp_path: Path, data: TrainingSet) -> None:
    folder = saved(tmp_path / "a", tiny_bert)
    with pytest.raises(ExpectedError, match="give the --cut that it was fine-tuned for"):
        blend_bundle(folder, tmp_path / "b", data, "test", CONFIG, None)
    assert not (tmp_path / "b").exists()


def test_one_class_only_is_refused(tiny_bert: Path, tmp_path: Path, data: TrainingSet) -> None:
    nobody_left = replace(data, rows=data.rows.assign(churned=0))
    with pytest.raises(ExpectedError, match="nothing to tell apart"):
        blend_bundle(saved(tmp_path / "a", tiny_bert), tmp_path / "b", nobody_left, "validation", CONFIG, None)
