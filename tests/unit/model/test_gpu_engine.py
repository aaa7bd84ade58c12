"""What a GPU does to texts, done by the CPU here: buckets, order, precision. Whether it is fast only a GPU can tell."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny
from ulvspark.model.bundle import serving_precision
from ulvspark.model.encoder import gpu_engine
from ulvspark.model.encoder.backbone import load_backbone
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.encoder.cpu_engine import Engine
from ulvspark.model.encoder.gpu_engine import BUCKET, TOKENS, GpuEngine, GpuPrecision, buckets
from ulvspark.model.encoder.text_encoder import TextReader
from ulvspark.scoring import workers

CPU = torch.device("cpu")


@given(st.lists(st.integers(0, 300), max_size=200), st.sampled_from([300, 301, None]))
def test_buckets_hold_each_row_once_and_little_padding(lengths: list[int], longest: int | None) -> None:
    known = np.array(lengths, dtype=np.int64)
    found = list(buckets(known, longest))
    rows = np.concatenate([rows for rows, _ in found]) if found else np.empty(0, int)
    assert sorted(rows) == list(range(len(lengths)))
    for rows, length in found:
        assert len(rows) * length <= TOKENS
        assert length <= (longest or length)
        assert (length - known[rows].clip(1) < BUCKET).all()
        assert (known[rows] <= length).all()


def test_a_bucket_is_cut_to_what_a_gpu_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_engine, "TOKENS", 64)
    assert [len(rows) for rows, _ in buckets(np.full(10, 16), 512)] == [4, 4, 2]
    assert [len(rows) for rows, _ in buckets(np.full(2, 100), 512)] == [1, 1]


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("precision", get_args(GpuPrecision))
def test_states_are_those_of_the_cpu(family: str, precision: GpuPrecision, tmp_path: Path) -> None:
    encoder = TextReader(load_backbone(tiny.base_folder(tmp_path, family)).eval(), "mean")
    before = {name: each.clone() for name, each in encoder.state_dict().items()}
    tokens = tiny.some_tokens() if family == "bert" else replace(tiny.some_tokens(), token_type_ids=None)
    engine = GpuEngine(encoder, precision, CPU)
    found, exact = engine.read(tokens, 0), Engine(encoder).read(tokens, 0)
    sixteen = precision != "fp32"
    np.testing.assert_allclose(found, exact, atol=0.1 if sixteen else 2e-6)
    assert (found != exact).any() or not sixteen
    assert engine.tokens == tokens.lengths.sum()
    for name, each in encoder.state_dict().items():
        torch.testing.assert_close(each, before[name], rtol=0, atol=0)


def test_a_text_does_not_depend_on_how_long_others_are(tiny_bert: Path) -> None:
    engine = GpuEngine(TextReader(load_backbone(tiny_bert).eval(), "cls"), "bf16", CPU)
    tokens = tiny.some_tokens()
    together = engine.read(tokens, 0)
    for row in range(0, 40, 5):
        alone = engine.read(Tokens([tokens.input_ids[row]], [(tokens.token_type_ids or [])[row]]), 0)[0]
        np.testing.assert_allclose(alone, together[row], atol=serving_precision.BATCH_CHANGE)


def test_a_task_takes_the_gpu_that_spark_gave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def task(**resources: list[str]) -> SimpleNamespace:
        held = {name: SimpleNamespace(addresses=each) for name, each in resources.items()}
        return SimpleNamespace(get=lambda: SimpleNamespace(resources=lambda: held))

    monkeypatch.setattr(workers, "TaskContext", task(gpu=["3"]))
    assert workers._device() == torch.device("cuda", 3)
    monkeypatch.setattr(workers, "TaskContext", task())
    assert workers._device() == CPU
