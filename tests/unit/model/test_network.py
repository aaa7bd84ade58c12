"""The architecture: pooling, numbers, labels, and the families of base models."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tiny
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.heads import DEFAULT_HEADS
from ulvspark.contract.spec import NetworkSpec
from ulvspark.model.encoder.backbone import load_backbone
from ulvspark.model.encoder.text_encoder import pool
from ulvspark.model.network.network import Decider

LABELS = {
    "tier": torch.tensor([0, 2]),
    "spend": torch.tensor([0.0, 3.0]),
    "churn": torch.tensor([1.0, 0.0]),
    "price_sensitivity": torch.tensor([float("nan"), 0.5]),
}
TOKENS = {"input_ids": torch.tensor([[2, 9, 3], [2, 8, 3]]), "attention_mask": torch.ones(2, 3, dtype=torch.long)}


def features() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).normal(size=(2, len(tiny.facts().history.numbers)))).float()


def test_pooling_sees_real_tokens_only() -> None:
    states = torch.arange(12.0).reshape(1, 4, 3)
    mask = torch.tensor([[1, 1, 0, 0]])
    assert torch.equal(pool(states, mask, "mean"), states[:, :2].mean(dim=1))
    assert torch.equal(pool(states, mask, "cls"), states[:, 0])
    assert torch.equal(pool(states, mask, "last"), states[:, 1])
    assert torch.equal(pool(states, mask.flip(1), "last"), states[:, 3])


def test_statistics_leave_out_the_unknown_and_the_constant() -> None:
    spec = NetworkSpec(use_text=False)
    decider = Decider(spec, 3, 2)
    nan = float("nan")
    decider.fit_statistics(np.array([[1, 5, nan], [3, 5, nan], [nan, 5, nan]], dtype=np.float32))
    assert decider.feature_mean.tolist() == [2, 5, 0]
    assert decider.feature_std.tolist() == [1, 1, 1]
    assert decider.standardise(torch.tensor([[3.0, 5.0, nan], [nan, 6.0, 2.0]])).tolist() == [[1, 0, 0], [0, 1, 2]]
    assert set(decider.state_dict()) >= {"feature_mean", "feature_std"}


def test_loss_is_the_sum_over_labelled_heads(tiny_bert: Path) -> None:
    network = tiny.network(tiny.facts(), tiny_bert).eval()
    numbers = features()
    whole = network(numbers, texts=TOKENS, labels=LABELS)
    assert list(whole) == ["loss", *DEFAULT_HEADS]
    parts = [network(numbers, texts=TOKENS, labels={head: label})["loss"] for head, label in LABELS.items()]
    assert whole["loss"].item() == pytest.approx(sum(part.item() for part in parts), rel=1e-5)
    assert "loss" not in network(numbers, texts=TOKENS)


def test_every_weight_learns(tiny_bert: Path) -> None:
    network = tiny.network(tiny.facts(), tiny_bert)
    network(features(), texts=TOKENS, labels=LABELS)["loss"].backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


def test_labels_without_a_head_are_ignored(tiny_bert: Path) -> None:
    network = tiny.network(tiny.facts(NetworkSpec(unit="history", vector_size=16, heads=("churn",))), tiny_bert)
    assert list(network(features(), texts=TOKENS, labels=LABELS)) == ["loss", "churn"]
    assert "loss" not in network(features(), texts=TOKENS, labels={"tier": LABELS["tier"]})


def test_numbers_or_text_alone(tiny_bert: Path) -> None:
    numbers_only = tiny.network(tiny.facts(NetworkSpec(use_text=False)), None).eval()
    assert numbers_only.encoder is None
    assert numbers_only(features())["tier"].shape == (2, 3)
    text_only = tiny.network(
        tiny.facts(NetworkSpec(unit="history", vector_size=16, use_numbers=False)), tiny_bert
    ).eval()
    assert torch.equal(text_only(features(), texts=TOKENS)["churn"], text_only(texts=TOKENS)["churn"])


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "gpt2"])
def test_activation_checkpointing_changes_no_gradient(family: str, tmp_path: Path) -> None:
    spec = NetworkSpec(unit="history", vector_size=16, pooling="last" if family == "gpt2" else "mean", dropout=0)
    network = tiny.network(tiny.facts(spec), tiny.base_folder(tmp_path, family)).train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            network.activation_checkpointing_enable(
                activation_checkpointing_kwargs=None, every_n_layers=1, offload=False
            )
            assert network.encoder.backbone.is_activation_checkpointing
        network.zero_grad()
        network(features(), texts=TOKENS, labels=LABELS)["loss"].backward()
        gradients.append([weight.grad.clone() for weight in network.parameters() if weight.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(*gradients, strict=True))


def test_a_base_model_that_cannot_be_used_is_explained(tmp_path: Path, tiny_bert: Path) -> None:
    with pytest.raises(ExpectedError, match="cannot load the base model"):
        load_backbone(tmp_path / "nothing")
    (tmp_path / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ExpectedError, match="cannot load the base model"):
        load_backbone(tmp_path)


def test_a_base_model_with_weights_missing_is_refused(tmp_path: Path, tiny_bert: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(tiny_bert / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    with pytest.raises(ExpectedError, match=r"lacks weights, encoder\.layer\.1\.output\.dense\.weight"):
        load_backbone(tmp_path)
