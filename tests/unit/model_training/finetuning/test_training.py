"""Batches, precision and memory: what makes training fast must not change what is learned."""

import json

import numpy as np
import pytest
import torch

from model_training.data.ordering import LengthGrouped
from model_training.finetune import finetune
from model_training.finetuning import trainer_arguments
from model_training.finetuning.config import Optimiser
from model_training.finetuning.task import class_weights
from model_training.finetuning.trainer_arguments import total_steps, training_arguments
from model_training.runs.devices import bf16_is_fast, chosen_precision
from tests.training_set import small
from ulvspark.contract.errors import ExpectedError


def test_batches_hold_similar_lengths_in_an_order_that_an_epoch_repeats():
    lengths = np.random.default_rng(0).integers(5, 500, 1000)
    order = LengthGrouped(lengths, 10, seed=1)
    first = list(order)
    assert first == list(order)
    assert sorted(first) == list(range(1000))
    order.set_epoch(1)
    assert list(order) != first
    batches = np.array(first).reshape(-1, 10)
    padding = 1 - lengths.sum() / (lengths[batches].max(axis=1) * 10).sum()
    assert padding < 0.05
    means = lengths[batches].mean(axis=1)
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3, "batches come sorted by length"


def losses(run, name="eval_loss"):
    return [entry[name] for entry in json.loads((run / "tuning/log.json").read_text())["log"] if name in entry]


def test_checkpointing_and_accumulation_change_nothing_that_is_learned(tmp_path, training_warehouse, tiny_bert):
    still = ["tuning.freeze=all", "tuning.dropout=0", "network.dropout=0", "network.heads=[tier, spend, churn]"]
    still += ["tuning.optimiser.batch_size=34"]
    found = [
        losses(finetune(small(tiny_bert, *still, *more), training_warehouse, tmp_path, "validation"))
        for more in ([], ["gradient_checkpointing=true"], ["tuning.optimiser.accumulation=2"])
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-4)
    assert found[2] == pytest.approx(found[0], rel=1e-3)


def test_bf16_learns_nearly_the_same(tmp_path, training_warehouse, tiny_bert):
    runs = [
        finetune(small(tiny_bert, "tuning.freeze=all", f"precision={name}"), training_warehouse, tmp_path, "validation")
        for name in ("fp32", "bf16")
    ]
    assert losses(runs[1]) == pytest.approx(losses(runs[0]), rel=0.05)
    assert losses(runs[1]) != losses(runs[0])


def test_precision_follows_the_hardware(monkeypatch):
    assert chosen_precision("auto") == ("bf16" if bf16_is_fast() else "fp32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for capabilities, wanted in (({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({}, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert chosen_precision("auto") == wanted
    with pytest.raises(ExpectedError, match="NVIDIA GPU"):
        chosen_precision("fp16")


def test_a_gpu_is_told_the_precision_it_is_to_use(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(trainer_arguments, "per_device", lambda optimiser: optimiser.batch_size)
    monkeypatch.setattr(trainer_arguments, "TrainingArguments", lambda **given: given)
    optimiser = Optimiser(learning_rate=1e-3, batch_size=8, epochs=2, schedule="constant")
    given = training_arguments(tmp_path, optimiser, 20, "fp16", seed=1, tf32=True, report_to=["wandb"])
    assert (given["fp16"], given["bf16"], given["tf32"], given["use_cpu"]) == (True, False, True, False)
    assert (given["report_to"], given["lr_scheduler_type"]) == (["wandb"], "constant_with_warmup")
    assert total_steps(20, optimiser) == 6


def test_balanced_weights_make_tiers_count_alike(tiny_bert):
    tier = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2])
    weights = class_weights(small(tiny_bert, "loss.class_weights=balanced"), tier)
    assert (weights * torch.tensor([6.0, 2.0, 1.0])).tolist() == pytest.approx([3, 3, 3])
    assert class_weights(small(tiny_bert), tier) is None
    assert class_weights(small(tiny_bert, "loss.class_weights=[1, 2, 5]"), tier).tolist() == [1, 2, 5]
