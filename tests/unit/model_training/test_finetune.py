"""From a training set to a published bundle, on tiny models."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file

from model_training import finetune as command
from model_training.data.dataset import cut_date, read_training_set, restrict
from model_training.evaluation.bundle_metrics import evaluate_bundle, score_rows
from model_training.finetune import finetune
from model_training.runs.summary import read_report
from tests import training_set
from tests.training_set import CONFIG, SMALL, small
from ulvspark.contract.errors import ExpectedError, RefusedError
from ulvspark.model.bundle import bundle, serving_precision
from ulvspark.model.bundle.store import open_store
from ulvspark.model.predictor import Predictor


def rows_at(warehouse, cut):
    seen = restrict(read_training_set(warehouse), cut)
    return seen, np.flatnonzero(seen.rows["as_of_date"] == cut)


def test_the_command_publishes_what_it_measured(tmp_path, training_warehouse, tiny_bert, tiny_bundle, capsys):
    arguments = ["--config", str(CONFIG), "--warehouse", training_warehouse, "--models", str(tmp_path / "models")]
    arguments += [
        "--cut",
        "test",
        "--runs",
        str(tmp_path / "runs"),
        *SMALL,
        f"base={tiny_bert}",
        "tuning.freeze={top: 1}",
    ]
    assert command.main(arguments) == 0
    (run,) = (tmp_path / "runs").glob("test-*")
    assert {"bundle", "curves.png", "report.json"} <= {path.name for path in run.iterdir()}
    assert list((run / "tuning" / "tensorboard").iterdir())
    assert not list(run.rglob("checkpoint-*"))

    store = open_store(str(tmp_path / "models"))
    folder = store.fetch("champion", tmp_path)
    predictor = Predictor.load(folder)
    predictor.self_test()
    manifest, report = predictor.manifest, read_report(run)
    assert manifest.config["base"] == str(tiny_bert)
    assert manifest.data_versions == {**training_set.META.data_versions, "training_set": 1}
    assert max(manifest.training_origins) == training_set.PROTOCOL.validation_cut
    assert f"\nDates of its training set: {training_set.PROTOCOL}.\n" in (folder / "README.md").read_text()
    found = evaluate_bundle(folder, *rows_at(training_warehouse, training_set.PROTOCOL.test_cut))
    assert report.metrics == pytest.approx(found)
    assert {f"test_{name}" for name in found} | {f"untuned_test_{name}" for name in found} == set(manifest.metrics)
    assert found["spearman"] > 0.3
    printed = capsys.readouterr()
    assert "untuned" in printed.out
    assert "heads: " in printed.err
    assert "\r" not in printed.err, "no bars in a file"

    # Started again, the run is not repeated, and the alias stays.
    assert command.main(arguments) == 0
    assert "finished" in capsys.readouterr().out
    assert store.resolve("champion") == manifest.version

    # Nor does it take back an alias that was moved since. One that is not there yet is made.
    blended = store.publish(tiny_bundle)
    store.point("champion", blended, manifest.version)
    assert command.main(arguments) == 0
    said = capsys.readouterr().out
    assert f"alias champion stays at {blended}; to move it, run python -c" in said
    assert command.main([*arguments, "--alias", "spare"]) == 0
    assert (store.resolve("champion"), store.resolve("spare")) == (blended, manifest.version)
    # What it advises works.
    exec(said.strip().rpartition('-c "')[2].removesuffix('"'))
    assert store.resolve("champion") == manifest.version

    # Finished but not published yet, it is published.
    other = open_store(str(tmp_path / "other"))
    other.point("champion", other.publish(tiny_bundle), None)
    assert command.main([*arguments, "--models", other.root]) == 0
    assert other.resolve("champion") == manifest.version


def test_a_run_that_older_code_finished_is_trained_again(tmp_path, training_warehouse, tiny_bert, monkeypatch):
    config = small(tiny_bert, "tuning.freeze=head", "heads.epochs=1")
    monkeypatch.setattr("model_training.runs.folders.code_fingerprint", lambda: "older code")
    old = finetune(config, training_warehouse, tmp_path, "validation")
    monkeypatch.undo()
    new = finetune(config, training_warehouse, tmp_path, "validation")
    assert new != old
    assert read_report(new).bundle == Predictor.load(new / "bundle").manifest.version
    assert finetune(config, training_warehouse, tmp_path, "validation") == new


def test_a_frozen_base_is_saved_as_it_was_and_read_once(tmp_path, training_warehouse, tiny_bert):
    run = finetune(small(tiny_bert, "tuning.freeze=head"), training_warehouse, tmp_path, "validation")
    before, after = load_file(tiny_bert / "model.safetensors"), load_file(run / "bundle/encoder/model.safetensors")
    assert all(np.array_equal(after[name], before[name]) for name in after)
    # Every distinct text of the rows it may see is there, once.
    rows = restrict(read_training_set(training_warehouse), cut_date(training_set.PROTOCOL, "validation")).rows
    (pooled,) = (tmp_path / "pooled").iterdir()
    assert load_file(pooled)["pooled"].shape == (rows["history_hash"].nunique(), 32)
    assert read_report(run).untuned is None


def test_the_serving_precision_is_measured_and_kept(tmp_path, training_warehouse, tiny_bert, monkeypatch, capsys):
    config = small(tiny_bert, "tuning.freeze=head", "serving_precision=auto")
    run = finetune(config, training_warehouse, tmp_path, "validation")
    manifest = Predictor.load(run / "bundle").manifest
    assert set(manifest.precision_evidence) == {"fp32", "bf16", "int8"}
    assert manifest.precision == serving_precision.choose("auto", manifest.precision_evidence)
    assert f"served in {manifest.precision}\n  fp32: of " in capsys.readouterr().out

    monkeypatch.setattr(serving_precision, "MIN_EQUAL_TIERS", 1.01)
    refused = small(tiny_bert, "tuning.freeze=head", "serving_precision=int8")
    with pytest.raises(RefusedError, match=r"serving_precision int8 is refused: of \d+ users"):
        finetune(refused, training_warehouse, tmp_path, "validation")


EVENTS = ["network.unit=event", "network.sequence={width: 16, layers: 1, attention_heads: 2}", "heads.epochs=12"]


def test_the_words_of_events_alone_learn(tmp_path, training_warehouse, tiny_bert):
    config = small(tiny_bert, "tuning.freeze=head", "network.use_numbers=false", *EVENTS)
    run = finetune(config, training_warehouse, tmp_path, "validation")
    (pooled,) = (tmp_path / "pooled").iterdir()
    assert load_file(pooled)["pooled"].shape == (len(training_set.KEYS), 32), "each distinct text once"
    seen = rows_at(training_warehouse, training_set.PROTOCOL.validation_cut)
    report = read_report(run)
    assert report.metrics["spearman"] > 0.3
    assert report.metrics == pytest.approx(evaluate_bundle(run / "bundle", *seen))


def test_the_base_learns_through_the_sequence_of_events(tmp_path, training_warehouse, tiny_bert):
    config = small(tiny_bert, "tuning.freeze={top: 1}", *EVENTS)
    run = finetune(config, training_warehouse, tmp_path, "validation")
    before, after = load_file(tiny_bert / "model.safetensors"), load_file(run / "bundle/encoder/model.safetensors")
    moved = {name for name in after if not np.array_equal(after[name], before[name])}
    assert moved
    assert all(".layer.1." in name for name in moved)
    assert read_report(run).untuned is not None


def test_text_alone_and_numbers_alone_both_learn(tmp_path, training_warehouse, tiny_bert):
    cut = training_set.PROTOCOL.validation_cut
    for name in ("network.use_numbers=false", "network.use_text=false"):
        config = small(tiny_bert, "tuning.freeze=head", name, "heads.epochs=12")
        run = finetune(config, training_warehouse, tmp_path, "validation")
        assert read_report(run).metrics["spearman"] > 0.3
        whole, rows = rows_at(training_warehouse, cut)
        assert score_rows(Predictor.load(run / "bundle"), whole, rows)["expected_value"].min() >= 0


def test_a_classifier_alone_gives_tiers_and_values(tmp_path, training_warehouse, tiny_bert):
    config = small(
        tiny_bert, "network.heads=[tier]", "network.hidden_size=0", "tiers={names: [rest, top], quantiles: [0.8]}",
        "loss.class_weights=balanced", "tuning.freeze=all", "tuning.start=new_heads", "validation.metric=tier_f1",
    )  # fmt: skip
    run = finetune(config, training_warehouse, tmp_path, "validation")
    whole, rows = rows_at(training_warehouse, training_set.PROTOCOL.validation_cut)
    scores = score_rows(Predictor.load(run / "bundle"), whole, rows)
    assert scores["tier_probabilities"].shape == (len(rows), 2)
    assert "churn_probability" not in scores
    assert scores["expected_value"].min() >= 0


def test_the_number_of_orders_is_learned_and_scored(tmp_path, training_warehouse, tiny_bert):
    heads = "network.heads=[tier, spend, churn, price_sensitivity, orders]"
    config = small(tiny_bert, "tuning.freeze=head", "network.use_text=false", "heads.epochs=30", heads)
    run = finetune(config, training_warehouse, tmp_path, "validation")
    whole, rows = rows_at(training_warehouse, training_set.PROTOCOL.validation_cut)
    expected = score_rows(Predictor.load(run / "bundle"), whole, rows)["expected_orders"]
    actual = whole.rows["orders_in_horizon"].to_numpy()[rows]
    assert expected.mean() == pytest.approx(actual.mean(), rel=0.3)
    assert np.corrcoef(expected, actual)[0, 1] > 0.3


def test_best_checkpoint_is_kept_and_training_stops_early(tmp_path, training_warehouse, tiny_bert):
    config = small(
        tiny_bert, "tuning.freeze=head", "heads.epochs=60", "validation.patience=3", "validation.metric=loss",
        "heads.learning_rate=0.3", "heads.schedule=constant",
    )  # fmt: skip
    run = finetune(config, training_warehouse, tmp_path, "validation")
    log = json.loads((run / "heads/log.json").read_text())["log"]
    losses = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    assert len(losses) < 60
    assert len(losses) == losses.index(min(losses)) + 1 + 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["base=/nowhere"], "cannot load the tokenizer of /nowhere"),
        (["min_users=500"], "at least 500 users"),
        (["tiers={names: [low, high], amounts: [1000000]}"], "no training user falls into high"),
        (["tuning.freeze={top: 5}"], "tuning.freeze.top is 5, but the base has 2 layers"),
        (["text.max_tokens=1024"], "max_tokens is 1024 but the base model reads 512"),
        (["precision=fp16"], "needs an NVIDIA GPU"),
        (["tuning.optimiser.accumulation=3"], "make it a multiple of 3"),
        (["trackers=[wandb]"], "wandb, which is not installed"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_bundle(
    tmp_path, training_warehouse, tiny_bert, monkeypatch, overrides, message
):
    monkeypatch.setattr("model_training.runs.trackers.find_spec", lambda name: None)
    if any("fp16" in each for each in overrides):
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ExpectedError, match=message):
        finetune(small(tiny_bert, *overrides), training_warehouse, tmp_path, "validation")
    assert not list(tmp_path.rglob("manifest.json"))


SPENDING, LATER = training_set.frame(), training_set.PROTOCOL.test_cut


@pytest.mark.parametrize(
    ("rows", "cut", "message"),
    [
        (SPENDING.assign(spend=0.0), "validation", "nobody spends anything in the label windows"),
        (SPENDING.assign(churned=1), "validation", "validation.metric churn_auc is undefined, since all held-out"),
        (SPENDING[SPENDING["as_of_date"] != LATER], "test", f"0 rows on {LATER}; .* load more data"),
    ],
    ids=["no future spend", "one class", "window not closed"],
)
def test_data_that_cannot_be_learned_from_is_one_sentence_and_leaves_no_bundle(tmp_path, tiny_bert, rows, cut, message):
    warehouse = str(training_set.write(tmp_path / "warehouse", rows))
    with pytest.raises(ExpectedError, match=message):
        finetune(small(tiny_bert, "validation.metric=churn_auc"), warehouse, tmp_path / "runs", cut)
    assert not list(tmp_path.rglob("manifest.json"))


def test_a_full_disk_leaves_nothing_half_written(tmp_path, training_warehouse, tiny_bert, monkeypatch):
    config = small(tiny_bert, "tuning.freeze=head")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "save_file", full)
    with pytest.raises(ExpectedError, match="no space left on disk while saving the bundle"):
        finetune(config, training_warehouse, tmp_path, "validation")
    assert not list(tmp_path.rglob("manifest.json"))
    monkeypatch.undo()
    # With space again, the run goes on from its fitted heads.
    run = finetune(config, training_warehouse, tmp_path, "validation")
    assert read_report(run).bundle == bundle.load(run / "bundle").manifest.version
