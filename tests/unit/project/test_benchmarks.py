"""The benchmarks that need no Spark run from end to end, and the tables of the others show the right figures."""

import os
import re

import pytest

from benchmarks import matrix_speed, night, processes, scaling, training_speed
from benchmarks.comparison import reporting
from ulvspark.model.encoder.backbone import load_backbone
from ulvspark.model.encoder.cpu_engine import CpuEngine
from ulvspark.model.encoder.precision import PRECISIONS
from ulvspark.model.encoder.text_encoder import TextEncoder


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_matrix_speed_is_of_the_layers_that_are_served(precision, tiny_bert):
    engine = CpuEngine(TextEncoder(load_backbone(tiny_bert).eval(), "mean"), precision)
    (rate,) = matrix_speed.tokens_per_second(engine.backbone, 1, [precision]).values()
    assert 0 < rate < 1e10


def test_training_is_compared_with_bare_passes(tiny_bert, capsys):
    small = ["--texts=32", "--batch-size=8", "--max-tokens=32", "--rounds=1", "--precision=fp32"]
    assert training_speed.main([f"--base={tiny_bert}", *small]) == 0
    (share,) = re.findall(r"training [\d,]+ tokens/s: ([\d.]+) of it", capsys.readouterr().out)
    assert float(share) > 0


def test_table_has_a_column_for_each_night():
    first = {"counts": {"users": 10}, "seconds": {"behaviour": 2.0, "texts": 3.0}, "metrics": {}}
    second = {"counts": {"users": 11}, "seconds": {"behaviour": 1.0}, "metrics": {}}
    lines = night.table({"first": first, "second": second}).splitlines()
    assert lines[1].split() == ["counts", "users", "10.0", "11.0"]
    assert [line.split()[-1] for line in lines[2:]] == ["1.0", "3.0"], "what a night lacks is left blank"


def test_memory_counts_this_process():
    assert 0.01 < processes.processes_gb(os.getpid()) < 1000


def test_a_night_is_compared_with_the_baseline():
    figures = {"counts": {"scored": 1000}, "seconds": {"behaviour": 4.0, "decide": 6.0}, "metrics": {}}
    assert night.costs(figures, baseline=4.0) == {
        "total_seconds": 10.0,
        "seconds_without_caches": 10.0,
        "baseline_users_per_second": 4.0,
        "baseline_seconds": 250.0,
        "times_as_fast": 25.0,
    }


def test_without_caches_reused_vectors_cost_as_much_as_encoded_ones():
    counts = {"scored": 100, "histories_encoded": 10, "histories_reused": 90, "texts_encoded": 0, "texts_reused": 500}
    figures = {"counts": counts, "seconds": {"texts": 1.0, "encode": 2.0, "decide": 3.0}, "metrics": {}}
    costs = night.costs(figures, baseline=1.0)
    assert costs["total_seconds"] == 6.0
    assert costs["seconds_without_caches"] == 6.0 + 90 * 2.0 / 10, "texts have no rate in this night"


def test_contenders_are_compared_with_the_first_one():
    baseline = reporting.Result("usual", 100, [10.0, 9.0, 11.0], 1.0, {"peak_mb": 1183.4, "share_of_weights_mb": 11.0})
    results = [baseline, reporting.Result("faster", 100, [2.5]), reporting.Result("other", note="not installed: x")]
    table = reporting.table(reporting.Comparison("short texts", 50.0, results), {"fp32": 5000.0})
    title, empty, *lines = table.splitlines()
    assert (title, empty) == ("short texts:", "")
    assert lines[2:] == [
        "| usual | 10.0 | 1.0x | 100.00% | 1,183 | 11 |",
        "| faster | 40.0 | 4.0x |  |  |  |",
        "| other | not installed: x |  |  |  |  |",
        "| upper bound: fp32 matrix products alone | 100 | 10.0x |  |  |  |",
    ]


def test_table_has_a_column_for_each_number_of_executors():
    lines = scaling.table({1: {"behaviour": 8.0, "decide": 2.0}, 2: {"behaviour": 4.0, "decide": 2.0}}).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["behaviour", "8.0", "1.00x", "4.0", "2.00x"],
        ["decide", "2.0", "1.00x", "2.0", "1.00x"],
        ["in", "all", "10.0", "1.00x", "6.0", "1.67x"],
    ]
