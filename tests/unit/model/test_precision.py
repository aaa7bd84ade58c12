"""Serving in fewer bits: what a vector depends on, what is stored, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests import tiny
from ulvspark.contract.errors import ExpectedError, RefusedError
from ulvspark.contract.spec import HistorySpec, NetworkSpec
from ulvspark.model.bundle import bundle, golden_users, serving_precision
from ulvspark.model.bundle.manifest import PrecisionEvidence
from ulvspark.model.encoder.backbone import load_backbone
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.encoder.cpu_engine import CpuEngine
from ulvspark.model.encoder.precision import PRECISIONS, Int8Linear, Precision, converted, int8_bytes
from ulvspark.model.encoder.text_encoder import TextEncoder
from ulvspark.model.inference.reader import build_reader
from ulvspark.model.predictor import Predictor

USERS = golden_users.make_users(HistorySpec())
GOOD = PrecisionEvidence(users=1000, equal_tiers=0.998, batch_change=1e-6, users_per_second=90.0)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_packed_texts_read_as_padded_ones_do(family: str, pooling: str, tmp_path: Path) -> None:
    encoder = TextEncoder(load_backbone(tiny.base_folder(tmp_path, family)).eval(), pooling)
    tokens, engine = tiny.some_tokens(), CpuEngine(encoder)
    if family == "roberta":
        tokens = replace(tokens, token_type_ids=None)
    assert engine._packed is not None
    packed = engine.encode(tokens, 0)
    engine._packed = None
    np.testing.assert_allclose(packed, engine.encode(tokens, 0), atol=2e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_a_text_does_not_depend_on_its_batch(family: str, precision: Precision, tmp_path: Path) -> None:
    engine = CpuEngine(TextEncoder(load_backbone(tiny.base_folder(tmp_path, family)).eval(), "mean"), precision)
    tokens = tiny.some_tokens()
    tokens = tokens if family == "bert" else replace(tokens, token_type_ids=None)
    together = engine.encode(tokens, 0)
    for row in range(0, 40, 5):
        segments = None if tokens.token_type_ids is None else [tokens.token_type_ids[row]]
        alone = engine.encode(Tokens([tokens.input_ids[row]], segments), 0)[0]
        np.testing.assert_allclose(alone, together[row], atol=serving_precision.MAX_BATCH_CHANGE / 10)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_states_stay_near_those_of_fp32(precision: Precision, tiny_bert: Path) -> None:
    encoder = TextEncoder(load_backbone(tiny_bert).eval(), "mean")
    before = {name: each.clone() for name, each in encoder.state_dict().items()}
    exact, rounded = (CpuEngine(encoder, each).encode(tiny.some_tokens(), 0) for each in ("fp32", precision))
    error = np.abs(rounded - exact).max()
    assert error < 0.2
    assert (error > 0) == (precision != "fp32")
    for name, each in encoder.state_dict().items():
        torch.testing.assert_close(each, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_engine_counts_texts_and_tokens(precision: Precision, tiny_bert: Path) -> None:
    engine = CpuEngine(TextEncoder(load_backbone(tiny_bert).eval(), "mean"), precision)
    for _ in range(2):
        engine.encode(tiny.some_tokens(3), 0)
    assert (engine.texts, engine.tokens) == (6, 2 * tiny.some_tokens(3).lengths.sum())


def test_int8_rounds_each_row_by_its_own_range() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 32)
    inputs = torch.randn(10, 64)
    eight = Int8Linear(linear)
    expected = linear(inputs)
    torch.testing.assert_close(eight(inputs), expected, atol=0.03, rtol=0)
    loud = torch.cat([inputs, 1000 * inputs[:1]])
    torch.testing.assert_close(eight(loud)[:10], eight(inputs), rtol=0, atol=0)
    assert torch.isfinite(eight(torch.zeros(2, 64))).all()
    torch.testing.assert_close(eight(torch.zeros(2, 64))[0], linear.bias.detach(), atol=1e-5, rtol=0)


def test_what_cannot_be_served_says_so(tmp_path: Path) -> None:
    decoder = load_backbone(tiny.base_folder(tmp_path, "gpt2"))
    with pytest.raises(ExpectedError, match="type gpt2 has no linear layers to serve in int8; use bf16 or fp32"):
        converted(decoder, "int8")


@pytest.mark.parametrize("unit", ["history", "event"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_bundle_is_served_in_the_precision_it_was_saved_in(
    precision: Precision, unit: str, tiny_bert: Path, tmp_path: Path
) -> None:
    network = NetworkSpec.model_validate({"vector_size": 16, "hidden_size": 8, "unit": unit})
    facts = tiny.facts(network).model_copy(update={"precision": precision})
    folder = tiny.bundle_folder(tmp_path / "b", tiny_bert, facts)
    plain = tiny.bundle_folder(tmp_path / "p", tiny_bert, tiny.facts(network))
    scorer, exact = Predictor.load(folder), Predictor.load(plain)
    scorer.self_test()
    vectors = scorer.encode(USERS.histories)
    changed = vectors != exact.encode(USERS.histories)
    assert changed.any() == (precision != "fp32")
    versions = scorer.manifest.user_encoder_version, exact.manifest.user_encoder_version
    assert (versions[0] == versions[1]) == (precision == "fp32")
    sizes = [(each / "encoder/model.safetensors").stat().st_size for each in (folder, plain)]
    assert (sizes[0] < 0.6 * sizes[1]) == (precision == "bf16")
    assert scorer.reader is not None
    assert (int8_bytes(scorer.reader.engine.backbone) > 0) == (precision == "int8")


@pytest.mark.parametrize("unit", ["history", "event"])
def test_the_self_test_knows_rounding_from_a_wrong_kernel(
    unit: str, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = NetworkSpec.model_validate({"vector_size": 16, "hidden_size": 8, "unit": unit})
    facts = tiny.facts(network).model_copy(update={"precision": "int8"})
    scorer = Predictor.load(tiny.bundle_folder(tmp_path / "b", tiny_bert, facts))
    with monkeypatch.context() as other:
        # Another processor, to which halves are others: all is rounded a little differently.
        other.setattr(torch.Tensor, "round_", lambda each: each.add_(0.4).floor_())
        scorer.self_test()
    scorer = Predictor.load(tmp_path / "b")
    monkeypatch.setattr(torch, "_int_mm", lambda some, others: some.int() @ others.int() * 30)
    with pytest.raises(ExpectedError, match=r"vectors in int8 are .* of their length away .*; serve the model in fp32"):
        scorer.self_test()


@pytest.mark.parametrize("unit", ["history", "event"])
def test_agreement_is_measured_beside_fp32(unit: str, tiny_bert: Path) -> None:
    facts = tiny.facts(NetworkSpec.model_validate({"vector_size": 16, "hidden_size": 8, "unit": unit}))
    network = tiny.network(facts, tiny_bert).eval()
    found = serving_precision.measure(network, tiny.tokenizer(), facts, USERS)
    assert list(found) == list(PRECISIONS)
    assert found["fp32"].equal_tiers == 1
    for each in found.values():
        assert each.users == len(USERS.histories)
        assert each.batch_change < serving_precision.MAX_BATCH_CHANGE
        assert each.users_per_second > 0


def test_agreement_notices_a_precision_that_moves_tiers(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tiny.facts(NetworkSpec(unit="history", vector_size=16, hidden_size=8, use_numbers=False))
    network = tiny.network(facts, tiny_bert).eval()
    torch.nn.init.normal_(network.decider.heads["tier"].weight, std=10)  # else all are of one tier
    real = CpuEngine.encode

    def coarse(self: CpuEngine, tokens: Tokens, pad_token_id: int) -> np.ndarray:
        states = real(self, tokens, pad_token_id)
        return states if self.precision != "int8" else -states + len(states)

    monkeypatch.setattr(CpuEngine, "encode", coarse)
    found = serving_precision.measure(network, tiny.tokenizer(), facts, USERS)
    assert found["int8"].equal_tiers < serving_precision.MIN_EQUAL_TIERS
    assert found["int8"].batch_change > serving_precision.MAX_BATCH_CHANGE
    with pytest.raises(RefusedError, match=r"int8 is refused: of 20 users \d.*at least 99\.5%.*changes by"):
        serving_precision.choose("int8", found)
    assert serving_precision.choose("auto", found) != "int8"


def test_auto_takes_the_fastest_that_agrees() -> None:
    fast = GOOD.model_copy(update={"users_per_second": 140.0})
    slow = GOOD.model_copy(update={"users_per_second": 45.0, "equal_tiers": 1.0})
    wrong = fast.model_copy(update={"equal_tiers": 0.9949})
    moving = fast.model_copy(update={"batch_change": 0.01})
    assert serving_precision.choose("auto", {"fp32": slow, "bf16": GOOD, "int8": fast}) == "int8"
    for bad in (wrong, moving):
        found: dict[Precision, PrecisionEvidence] = {"fp32": slow, "bf16": GOOD, "int8": bad}
        assert serving_precision.choose("auto", found) == "bf16"
        assert serving_precision.choose("bf16", found) == "bf16"
        with pytest.raises(RefusedError, match="serving_precision int8 is refused"):
            serving_precision.choose("int8", found)
    assert serving_precision.choose("auto", {}) == serving_precision.choose("fp32", {}) == "fp32"


def test_a_gpu_reads_in_16_bits_where_they_agree() -> None:
    saved = tiny.facts(NetworkSpec(unit="history", vector_size=16))
    wrong = GOOD.model_copy(update={"equal_tiers": 0.9949})
    for precision, found, expected in (
        ("fp32", GOOD, "fp32"), ("bf16", GOOD, "bf16"), ("int8", GOOD, "bf16"), ("int8", wrong, "fp32"),
    ):  # fmt: skip
        facts = saved.model_copy(update={"precision": precision, "precision_evidence": {"bf16": found}})
        assert serving_precision.gpu_precision(facts) == expected
    unmeasured = saved.model_copy(update={"precision": "int8", "precision_evidence": None})
    assert serving_precision.gpu_precision(unmeasured) == "fp32"


def test_weights_are_mapped_and_not_copied(tiny_bert: Path, tmp_path: Path) -> None:
    facts = tiny.facts().model_copy(update={"precision": "bf16"})
    folder = tiny.bundle_folder(tmp_path / "b", tiny_bert, facts)
    loaded = bundle.load(folder)
    mapped = [
        tuple(int(end, 16) for end in line.split()[0].split("-"))
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith("b/encoder/model.safetensors")
    ]
    reader = build_reader(loaded.network, loaded.tokenizer, facts.text, "bf16")
    assert reader is not None
    weights = list(reader.engine.backbone.parameters())
    inside = [any(start <= each.data_ptr() < end for start, end in mapped) for each in weights]
    assert mapped
    assert all(inside)
