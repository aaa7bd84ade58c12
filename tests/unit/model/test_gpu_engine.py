"""The GPU engine, run on the CPU: equal lengths, order and precision. How fast it is only a GPU can show."""

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
from ulvspark.model.encoder.cpu_engine import CpuEngine
from ulvspark.model.encoder.gpu_engine import (
    GPU_BATCH_TOKENS,
    PADDED_TO_MULTIPLE_OF,
    GpuEngine,
    GpuPrecision,
    equal_length_batches,
)
from ulvspark.model.encoder.text_encoder import TextEncoder
from ulvspark.scoring import workers

CPU = torch.device("cpu")


@given(st.lists(st.integers(0, 300), max_size=200), st.sampled_from([300, 301, None]))
def test_batches_hold_each_row_once_and_little_padding(lengths: list[int], longest: int | None) -> None:
    known = np.array(lengths, dtype=np.int64)
    found = list(equal_length_batches(known, longest))
    rows = np.concatenate([rows for rows, _ in found]) if found else np.empty(0, int)
    assert sorted(rows) == list(range(len(lengths)))
    for rows, length in found:
        assert len(rows) * length <= GPU_BATCH_TOKENS
        assert length <= (longest or length)
        assert (length - known[rows].clip(1) < PADDED_TO_MULTIPLE_OF).all()
        assert (known[rows] <= length).all()


def test_a_batch_is_limited_in_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_engine, "GPU_BATCH_TOKENS", 64)
    assert [len(rows) for rows, _ in equal_length_batches(np.full(10, 16), 512)] == [4, 4, 2]
    assert [len(rows) for rows, _ in equal_length_batches(np.full(2, 100), 512)] == [1, 1]


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("precision", get_args(GpuPrecision))
def test_states_are_those_of_the_cpu(family: str, precision: GpuPrecision, tmp_path: Path) -> None:
    encoder = TextEncoder(load_backbone(tiny.base_folder(tmp_path, family)).eval(), "mean")
    before = {name: each.clone() for name, each in encoder.state_dict().items()}
    tokens = tiny.some_tokens() if family == "bert" else replace(tiny.some_tokens(), token_type_ids=None)
    engine = GpuEngine(encoder, precision, CPU)
    found, exact = engine.encode(tokens, 0), CpuEngine(encoder).encode(tokens, 0)
    sixteen = precision != "fp32"
    np.testing.assert_allclose(found, exact, atol=0.1 if sixteen else 2e-6)
    assert (found != exact).any() or not sixteen
    assert engine.tokens == tokens.lengths.sum()
    for name, each in encoder.state_dict().items():
        torch.testing.assert_close(each, before[name], rtol=0, atol=0)


def test_a_text_does_not_depend_on_how_long_others_are(tiny_bert: Path) -> None:
    engine = GpuEngine(TextEncoder(load_backbone(tiny_bert).eval(), "cls"), "bf16", CPU)
    tokens = tiny.some_tokens()
    together = engine.encode(tokens, 0)
    for row in range(0, 40, 5):
        alone = engine.encode(Tokens([tokens.input_ids[row]], [(tokens.token_type_ids or [])[row]]), 0)[0]
        np.testing.assert_allclose(alone, together[row], atol=serving_precision.MAX_BATCH_CHANGE)


def test_a_task_takes_the_gpu_that_spark_gave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def task(**resources: list[str]) -> SimpleNamespace:
        held = {name: SimpleNamespace(addresses=each) for name, each in resources.items()}
        return SimpleNamespace(get=lambda: SimpleNamespace(resources=lambda: held))

    monkeypatch.setattr(workers, "TaskContext", task(gpu=["3"]))
    assert workers._device() == torch.device("cuda", 3)
    monkeypatch.setattr(workers, "TaskContext", task())
    assert workers._device() == CPU
