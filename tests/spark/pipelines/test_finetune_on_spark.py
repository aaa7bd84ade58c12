import json

import pytest

from jobs import finetune_on_spark
from model_training.runs.folders import run_folder
from model_training.runs.summary import read_report
from tests.training_set import CONFIG, META, SMALL, small
from ulvspark.contract.errors import ExpectedError


def test_two_processes_started_by_spark_train_together(spark, tmp_path, training_warehouse, tiny_bert, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    overrides = [*SMALL, f"base={tiny_bert}", "tuning.freeze={top: 1}"]
    training = ["--config", str(CONFIG), "--warehouse", training_warehouse, "--runs", str(tmp_path), *overrides]
    assert finetune_on_spark.main(["--processes", "2", "--on-driver", "--", *training]) == 0
    run = run_folder(tmp_path, small(tiny_bert, "tuning.freeze={top: 1}"), META, "validation")
    assert read_report(run).metrics["spearman"] > 0
    # 102 rows in batches of 16 over both processes.
    assert json.loads((run / "tuning/log.json").read_text())["steps"] == 7


def test_mistakes_are_told_before_anything_starts(spark, tmp_path, training_warehouse):
    def start(*arguments, warehouse=training_warehouse):
        finetune_on_spark.main([*arguments, "--", "--warehouse", str(warehouse)])

    with pytest.raises(ExpectedError, match=r"no Delta table training_set below .*; run jobs/build_training_set.py"):
        start("--processes=2", warehouse=tmp_path)
    with pytest.raises(ExpectedError, match=r"--processes 0: .*positive"):
        start("--processes=0")
    with pytest.raises(ExpectedError, match=r"--processes 2 --gpu: .*gpu"):
        start("--processes=2", "--gpu")
    with pytest.raises(ExpectedError, match=r"tuning\.freeze"):
        finetune_on_spark.main(["--processes", "2", "--", "--warehouse", str(tmp_path), "tuning.freeze=some"])
