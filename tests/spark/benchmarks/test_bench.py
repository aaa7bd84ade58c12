"""The benchmark of scoring runs from end to end, and its tiers are those of the usual recipe."""

import json

from benchmarks import bench, contenders, memory, sequences

OURS = "ulvspark, unit history, fp32"


def test_every_way_is_measured_and_agrees(spark, tiny_bert, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "spark", lambda cores: spark)
    monkeypatch.setattr(bench, "COPIES", 2)
    monkeypatch.setattr(bench, "REMEMBERED", (OURS,))
    monkeypatch.setattr(memory, "WORKERS", 1)
    monkeypatch.setattr(sequences, "TEXTS", 500)
    arguments = ["--quick", f"--base={tiny_bert}", "--max-tokens=64", f"--out={tmp_path}"]
    assert bench.main(arguments) == 0
    found = json.loads((tmp_path / "bench.json").read_text())
    texts, events = found["sets"]
    ways = {way["name"]: way for way in texts["ways"]}
    assert set(contenders.ENCODERS) <= set(ways)
    for name, way in ways.items():
        assert bool(way["note"]) == bool(contenders.missing(name))
        assert way["note"] or way["users_per_second"] > 0
    ours = [way for name, way in ways.items() if name.startswith("ulvspark")]
    assert {way["users"] for way in ours} == {48, 96}
    assert all(way["equal_tiers"] > 0.9 for way in ours)
    assert ways[OURS]["equal_tiers"] == 1
    assert ways[OURS]["memory"]["share_of_weights_mb"] > 0
    assert set(found["machine"]["bare_tokens_per_second"]) == {"fp32", "bf16", "int8"}
    assert [way["name"] for way in events["ways"]] == [contenders.USUAL, sequences.OURS, sequences.CHANGED]
    assert all(way["users_per_second"] > 0 for way in events["ways"])
    page = (tmp_path / "bench.md").read_text()
    assert f"| {contenders.USUAL} |" in page
    assert "| 1.0x |" in page
    assert page in capsys.readouterr().out
