"""Trackers that are asked for get the run, without a network."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model_training.finetune import finetune
from tests.training_set import small

QUICK = ("tuning.freeze=head", "network.use_text=false", "heads.epochs=2")


def test_tensorboard_always_gets_losses_and_metrics(tmp_path, training_warehouse, tiny_bert):
    run = finetune(small(tiny_bert, *QUICK), training_warehouse, tmp_path, "validation")
    events = EventAccumulator(str(run / "heads/tensorboard")).Reload()
    assert {"train/loss", "eval/loss", "eval/spearman"} <= set(events.Tags()["scalars"])


def test_weights_and_biases_offline(tmp_path, training_warehouse, tiny_bert, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    finetune(small(tiny_bert, *QUICK, "trackers=[wandb]"), training_warehouse, tmp_path / "runs", "validation")
    wandb.finish()
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert list(run.glob("*.wandb"))


def test_mlflow_in_a_local_database(tmp_path, training_warehouse, tiny_bert, monkeypatch):
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    finetune(small(tiny_bert, *QUICK, "trackers=[mlflow]"), training_warehouse, tmp_path / "runs", "validation")
    (run,) = mlflow.MlflowClient(uri).search_runs(["0"])
    assert "eval_spearman" in run.data.metrics
    assert run.data.params["learning_rate"] == "0.02"
