"""The benchmark of scoring runs from end to end, and its contenders give the same tiers as the baseline."""

import json

from benchmarks import bench
from benchmarks.comparison import contenders, memory, sequences

FP32 = "ulvspark, unit history, fp32"


def test_every_contender_is_measured_and_agrees(spark, tiny_bert, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "spark", lambda cores: spark)
    monkeypatch.setattr(bench, "COPIES", 2)
    monkeypatch.setattr(bench, "MEMORY_MEASURED", (FP32,))
    monkeypatch.setattr(memory, "WORKERS", 1)
    monkeypatch.setattr(sequences, "TEXTS", 500)
    arguments = ["--quick", f"--base={tiny_bert}", "--max-tokens=64", f"--out={tmp_path}"]
    assert bench.main(arguments) == 0
    content = json.loads((tmp_path / "bench.json").read_text())
    on_texts, unit_event = content["comparisons"]
    results = {result["name"]: result for result in on_texts["results"]}
    assert set(contenders.ENCODERS) <= set(results)
    for name, result in results.items():
        assert bool(result["note"]) == bool(contenders.missing_packages(name))
        assert result["note"] or result["users_per_second"] > 0
    ulvspark = [result for name, result in results.items() if name.startswith("ulvspark")]
    assert {result["users"] for result in ulvspark} == {48, 96}
    assert all(result["equal_tiers"] > 0.9 for result in ulvspark)
    assert results[FP32]["equal_tiers"] == 1
    assert results[FP32]["memory"]["share_of_weights_mb"] > 0
    assert set(content["machine"]["bare_tokens_per_second"]) == {"fp32", "bf16", "int8"}
    names = [contenders.BASELINE, sequences.ALL_ENCODED, sequences.CHANGED_ENCODED]
    assert [result["name"] for result in unit_event["results"]] == names
    assert all(result["users_per_second"] > 0 for result in unit_event["results"])
    page = (tmp_path / "bench.md").read_text()
    assert f"| {contenders.BASELINE} |" in page
    assert "| 1.0x |" in page
    assert page in capsys.readouterr().out
