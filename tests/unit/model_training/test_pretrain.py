import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model_training import pretrain as command
from model_training.data.dataset import held_out, read_training_set
from model_training.finetune import finetune
from model_training.finetuning.bases import load_base
from model_training.pretrain import pretrain
from model_training.pretraining.config import PretrainConfig
from model_training.pretraining.denoising import DenoisingAutoencoder, Noise
from model_training.pretraining.masking import Masking
from model_training.pretraining.texts import read_corpus
from model_training.runs.summary import read_report
from tests import tiny
from tests.training_set import PROTOCOL, small
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.model.encoder.tokenizing import load_tokenizer

CONFIG = Path(__file__).parents[3] / "conf/pretrain.yaml"
SMALL = [
    "text.max_tokens=48", "held_out_share=0.2", "optimiser.learning_rate=0.003", "optimiser.batch_size=16",
    "optimiser.epochs=6", "precision=fp32",
]  # fmt: skip


def config(base, *overrides):
    return load_config(PretrainConfig, CONFIG, [*SMALL, f"base={base}", *overrides])


@pytest.fixture(scope="module")
def corpus(training_warehouse, tiny_bert):
    tokenizer = load_tokenizer(tiny_bert)
    whole = read_training_set(training_warehouse)
    return read_corpus(whole, PROTOCOL.validation_cut, 0.2, tokenizer, TextSpec(max_tokens=48)), tokenizer


def test_no_text_later_than_the_cut_and_each_once(training_warehouse, corpus):
    rows = read_training_set(training_warehouse).rows
    known = rows[rows["as_of_date"] <= PROTOCOL.validation_cut]
    assert len(corpus[0].texts) == known["history_hash"].nunique()
    assert len(corpus[0].fit) + len(corpus[0].held_out) == len(corpus[0].texts)
    # The users that fine-tuning holds out, where the share is the same.
    assert len(corpus[0].held_out) == held_out(known.drop_duplicates("history_hash"), 0.2).sum()


def test_a_corpus_without_held_out_texts_is_told_what_to_do(training_warehouse, tiny_bert):
    whole, tokenizer = read_training_set(training_warehouse), load_tokenizer(tiny_bert)
    nobody = replace(whole, rows=whole.rows[:0])
    for each, share, message in ((whole, 1e-9, "0 of [1-9]"), (nobody, 0.2, "0 of 0 texts")):
        with pytest.raises(ExpectedError, match=f"pre-training: {message}.* held out; load more data"):
            read_corpus(each, PROTOCOL.validation_cut, share, tokenizer, TextSpec(max_tokens=48))


def test_masked_tokens_are_guessed_better_and_the_result_is_a_base(tmp_path, training_warehouse, tiny_bert, capsys):
    out = tmp_path / "base"
    arguments = ["--config", str(CONFIG), "--warehouse", training_warehouse, "--out", str(out), *SMALL]
    assert command.main([*arguments, f"base={tiny_bert}"]) == 0
    report = json.loads((out / "pretraining.json").read_text())
    assert report["loss_after"] < report["loss_before"] - 0.5
    assert report["perplexity_after"] == pytest.approx(torch.tensor(report["loss_after"]).exp().item(), rel=1e-4)
    assert report["new_head"]
    assert "held-out loss" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
    tuned = finetune(small(out, "tuning.freeze=head"), training_warehouse, tmp_path / "runs", "validation")
    assert read_report(tuned).metrics["spearman"] > 0
    with pytest.raises(ExpectedError, match="is there already"):
        command.main([*arguments, f"base={tiny_bert}"])
    again = pretrain(config(out, "optimiser.epochs=1"), training_warehouse, tmp_path / "more", "validation")
    assert not again.new_head
    assert again.loss_before == pytest.approx(report["loss_after"], abs=0.2)


@pytest.mark.parametrize("family", ["bert", "modernbert", "gpt2"])
def test_texts_are_rebuilt_better_from_their_vectors(family, tmp_path, training_warehouse):
    base = tiny.base_folder(tmp_path / family, family)
    pooling = "last" if family == "gpt2" else "mean"
    wanted = config(base, "method=denoise", f"pooling={pooling}")
    report = pretrain(wanted, training_warehouse, tmp_path / "base", "validation")
    assert report.loss_after < report.loss_before - 0.5
    before, after = (load_base(str(each), TextSpec(), pooling).backbone for each in (base, tmp_path / "base"))
    assert type(after) is type(before)
    weights = before.state_dict()
    assert any(not torch.equal(each, weights[name]) for name, each in after.state_dict().items())


def test_a_decoder_sees_nothing_but_the_vector_and_what_came_before(tiny_bert):
    torch.manual_seed(0)
    model = DenoisingAutoencoder(load_base(str(tiny_bert), TextSpec(), "mean").backbone, "mean", 16, 1).eval()
    vector, before = torch.randn(1, 32, requires_grad=True), torch.tensor([[2, 9, 30, 31]])
    wanted = torch.tensor([[9, 30, -100, -100]])
    one = model._rebuild(vector, before, wanted)
    changed = torch.tensor([[2, 9, 40, 41]])
    assert model._rebuild(vector, changed, wanted).item() == pytest.approx(one.item(), abs=1e-6)
    one.backward()
    assert vector.grad.abs().sum() > 0


def test_held_out_texts_are_disturbed_the_same_way_every_time(corpus):
    texts, tokenizer = corpus
    for collate in (Masking(texts, tokenizer, 0.3), Noise(texts, tokenizer, TextSpec(max_tokens=48), 0.5)):
        first, second = (collate(texts.held_out[:8].tolist()) for _ in range(2))
        assert all(torch.equal(first[name], second[name]) for name in first)
        first, second = (collate(texts.fit[:8].tolist()) for _ in range(2))
        assert any(first[name].shape != second[name].shape or (first[name] != second[name]).any() for name in first)


def test_masks_hide_real_tokens_only(corpus):
    texts, tokenizer = corpus
    batch = Masking(texts, tokenizer, 0.5)(texts.fit[:16].tolist())
    hidden = batch["labels"] != -100
    assert 0.3 < hidden[batch["attention_mask"] == 1].float().mean() < 0.6
    assert not hidden[batch["attention_mask"] == 0].any()
    special = torch.tensor(tokenizer.all_special_ids)
    assert not torch.isin(batch["labels"][hidden], special).any()


def test_a_base_without_mask_is_told_what_to_do(tmp_path, training_warehouse):
    base = tiny.base_folder(tmp_path / "gpt2", "gpt2")
    with pytest.raises(ExpectedError, match="use method: denoise"):
        pretrain(config(base), training_warehouse, tmp_path / "base", "validation")
    assert not (tmp_path / "base").exists()


def test_no_other_pre_training_is_gone_on_from(tmp_path, training_warehouse, tiny_bert, monkeypatch):
    found, latest = [], command.latest_checkpoint

    def killed(*args):
        raise KeyboardInterrupt

    def start(cut, *overrides):
        wanted = config(tiny_bert, "optimiser.epochs=1", *overrides)
        return pretrain(wanted, training_warehouse, tmp_path / "base", cut)

    monkeypatch.setattr(command, "latest_checkpoint", lambda folder: found.append(latest(folder)) or found[-1])
    with monkeypatch.context() as patched:
        patched.setattr(command, "_save", killed)
        for run in (("validation",), ("validation", "mask_share=0.3"), ("test",)):
            with pytest.raises(KeyboardInterrupt):
                start(*run)
    assert found == [None, None, None]
    start("validation")
    assert found[-1] is not None
    assert not Path(found[-1]).parent.exists(), "removed when done"
