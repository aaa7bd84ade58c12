"""Training goes on where it was killed, and on several processes it is the same training."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model_training.finetune import finetune
from model_training.finetuning.bases import MINILM
from model_training.runs.code_version import code_fingerprint
from model_training.runs.folders import latest_checkpoint, run_folder
from model_training.runs.summary import read_report
from tests import tiny
from tests.training_set import CONFIG, META, SMALL, small
from ulvspark.model.bundle.checksums import digest

ROOT = Path(__file__).parents[3]

LONG = [
    "tuning.freeze=all", "tuning.optimiser.epochs=4", "tuning.optimiser.batch_size=8", "heads.epochs=2",
    "tuning.optimiser.evaluations_per_epoch=3",
]  # fmt: skip


def command(warehouse, runs, base, *overrides):
    arguments = ["--config", str(CONFIG), "--warehouse", warehouse, "--runs", str(runs), *SMALL, f"base={base}"]
    return ["-m", "model_training.finetune", *arguments, *overrides]


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not path():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_killed_run_goes_on_and_ends_like_one_that_was_not(tmp_path, training_warehouse, tiny_bert):
    config = small(tiny_bert, *LONG)
    whole = finetune(config, training_warehouse, tmp_path / "whole", "validation")
    line = [sys.executable, *command(training_warehouse, tmp_path / "killed", tiny_bert, *LONG)]
    folder = run_folder(tmp_path / "killed", config, META, "validation") / "tuning"
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: folder.exists() and latest_checkpoint(folder), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = json.loads((Path(latest_checkpoint(folder)) / "trainer_state.json").read_text())
    assert reached["epoch"] % 1 != 0, "killed at the end of an epoch, not within one"
    assert reached["global_step"] < reached["max_steps"]

    resumed = finetune(config, training_warehouse, tmp_path / "killed", "validation")
    assert read_report(resumed).metrics == pytest.approx(read_report(whole).metrics, abs=1e-5)
    logs = [json.loads((run / "tuning/log.json").read_text())["log"] for run in (whole, resumed)]
    ends = [[entry["eval_loss"] for entry in log if "eval_loss" in entry] for log in logs]
    assert ends[0] == pytest.approx(ends[1], abs=1e-5)


def test_a_checkpoint_that_was_not_finished_is_passed_over(tmp_path):
    for step, state in ((5, "{}"), (10, '{"global_step": 10}'), (15, '{"global'), (20, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    shutil.rmtree(tmp_path / "checkpoint-10")
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-5")
    assert latest_checkpoint(tmp_path / "nothing") is None


NUMBERS_ALONE = ["network.use_text=false", "tuning.freeze=head"]


def test_a_run_killed_before_its_report_saves_its_bundle_again(tmp_path, training_warehouse, tiny_bert):
    config = small(tiny_bert, *NUMBERS_ALONE)
    folder = finetune(config, training_warehouse, tmp_path, "validation")
    weights = (folder / "bundle/heads.safetensors").read_bytes()
    (folder / "report.json").unlink()
    (folder / "candidate").mkdir()
    assert finetune(config, training_warehouse, tmp_path, "validation") == folder
    assert read_report(folder) is not None
    assert (folder / "bundle/heads.safetensors").read_bytes() == weights
    assert not (folder / "candidate").exists()


def test_what_was_replaced_under_the_same_name_makes_another_run(tmp_path, tiny_bert):
    base, bundle = tmp_path / "base", tmp_path / "bundle"
    plain, going_on = small(base), small(base, *NUMBERS_ALONE, f"start_from={bundle}")

    def folders():
        return [run_folder(tmp_path, each, META, "test") for each in (plain, going_on)]

    shutil.copytree(tiny_bert, base)
    tiny.bundle_folder(bundle, tiny_bert)
    first = folders()
    assert folders() == first
    with (base / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, os.SEEK_END)
        weights.write(b"?")
    second = folders()
    assert second[0] != first[0]
    assert second[1] == first[1], "a base that is not read does not count"
    shutil.rmtree(bundle)
    tiny.bundle_folder(bundle, tiny_bert, tiny.facts().model_copy(update={"seed": 8}))
    assert folders()[1] != second[1]


def test_a_base_that_is_a_name_counts_by_its_name(tmp_path, monkeypatch):
    (tmp_path / MINILM).mkdir()
    monkeypatch.chdir(tmp_path)
    config = small(Path(MINILM))
    content = {
        "code": code_fingerprint(),
        "config": config.model_dump(mode="json"),
        "data": META.model_dump(mode="json"),
        "cut": "test",
    }
    assert run_folder(tmp_path, config, META, "test").name == f"test-{digest(content)[:12]}"


def test_two_processes_train_like_one(tmp_path, training_warehouse, tiny_bert):
    """By torchrun, over gloo. Without what each process does by itself: dropout, the mean over known sensitivities."""
    overrides = [
        "tuning.freeze=all", "network.dropout=0", "tuning.dropout=0", "network.heads=[tier, spend, churn]",
        "heads.batch_size=34", "tuning.optimiser.batch_size=34", "tuning.optimiser.epochs=3",
    ]  # fmt: skip
    config = small(tiny_bert, *overrides)
    alone = finetune(config, training_warehouse, tmp_path / "one", "validation")
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    line += command(training_warehouse, tmp_path / "two", tiny_bert, *overrides, "--models", str(tmp_path / "models"))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    together = run_folder(tmp_path / "two", config, META, "validation")
    for phase in ("heads", "tuning"):
        logs = [json.loads((run / phase / "log.json").read_text())["log"] for run in (alone, together)]
        for name in ("loss", "eval_gini"):
            one, two = ([entry[name] for entry in log if name in entry] for log in logs)
            assert one == pytest.approx(two, rel=1e-3), (phase, name)
    assert read_report(together).metrics == pytest.approx(read_report(alone).metrics, rel=1e-2)
    assert len(list((tmp_path / "models" / "versions").iterdir())) == 1
