"""Few labels: going on from a bundle, asking by a prompt, and the table that says who wins."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from model_training import few_labels, finetune, pretrain
from model_training.baselines import cloze
from model_training.baselines.cloze import load_cloze
from model_training.baselines.task import decisions
from model_training.data.dataset import read_training_set
from model_training.data.platforms import learned
from model_training.evaluation.weighted import auc, ones
from model_training.pretraining.config import PretrainConfig
from model_training.small_samples import ways
from model_training.small_samples.sample import draw_sample
from tests import tiny, training_set
from tests.training_set import CONF, CONFIG, SMALL
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import HistorySpec, NetworkSpec, TextSpec
from ulvspark.history.text import Rendered
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.manifest import read_manifest

NUMBERS_ALONE = [*SMALL, "network.use_text=false", "tuning.freeze=head", "validation.metric=loss"]
WORDS = ("cheap", "something", "dear")
TEXT = TextSpec(max_tokens=48)


@pytest.fixture(scope="module")
def masked(tmp_path_factory) -> Path:
    """A random BERT with its head for masked words, as a model of words is saved."""
    folder, words = tmp_path_factory.mktemp("masked"), tiny.tokenizer()
    torch.manual_seed(1)
    config = BertConfig(**tiny.SIZES, vocab_size=len(words), intermediate_size=64, pad_token_id=0)
    BertForMaskedLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def stranger(tmp_path_factory, tiny_bert) -> Path:
    """A bundle of numbers alone that learned on a platform of dollars."""
    spec = NetworkSpec(unit="history", vector_size=16, hidden_size=16, use_text=False)
    about = tiny.facts(spec).model_copy(update={"history": training_set.SPEC, "horizon_days": 30, "currency": "USD"})
    return tiny.bundle_folder(tmp_path_factory.mktemp("stranger") / "bundle", tiny_bert, about)


def texts(n: int) -> tuple[list[Rendered], np.ndarray]:
    tier = np.arange(n) % 3
    what = ("woolly holder", "usual mug", "red mug")
    return [Rendered("customer from x", f"bought {what[each]}", ()) for each in tier], tier


def test_the_blank_learns_which_word_belongs_where(masked):
    found = load_cloze(str(masked), TEXT, WORDS)
    said, tier = texts(60)
    tokens = found.read(said)
    assert all(ids.count(found.tokenizer.mask_token_id) == 1 for ids in tokens.input_ids)
    cloze.fit(found, tokens, tier, epochs=12, learning_rate=0.003)
    probabilities = cloze.tier_probabilities(found, tokens)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == tier).mean() > 0.9


def test_the_scores_are_what_the_whole_model_says_in_the_blank(masked):
    found = load_cloze(str(masked), TEXT, WORDS)
    found.model.eval()
    said, _ = texts(1)
    tokens = found.read(said)
    ids = torch.tensor(tokens.input_ids)
    with torch.no_grad():
        whole = found.model(input_ids=ids, token_type_ids=torch.tensor(tokens.token_type_ids)).logits
        wanted = whole[0, tokens.input_ids[0].index(found.tokenizer.mask_token_id), found.words]
        torch.testing.assert_close(found.scores(tokens, np.array([0]))[0], wanted)


def test_the_prompt_is_not_cut_and_order_does_not_matter(masked):
    found = load_cloze(str(masked), TEXT, WORDS)
    long = [Rendered("customer from " + "x " * 40, "bought " + "mug " * n, ()) for n in (60, 1, 9)]
    tokens = found.read(long)
    assert all(ids.count(found.tokenizer.mask_token_id) == 1 for ids in tokens.input_ids)
    both = cloze.tier_probabilities(found, tokens)
    alone = cloze.tier_probabilities(found, found.read(long[1:2]))
    np.testing.assert_allclose(both[1], alone[0], atol=1e-5)


def test_a_base_without_a_trained_head_is_refused_and_pretraining_keeps_one(tiny_bert, training_warehouse, tmp_path):
    with pytest.raises(ExpectedError, match="came without its head for masked words"):
        load_cloze(str(tiny_bert), TEXT, WORDS)
    quick = [f"base={tiny_bert}", "text.max_tokens=48", "precision=fp32", "optimiser.epochs=1", "held_out_share=0.3"]
    config = load_config(PretrainConfig, CONF / "pretrain.yaml", quick)
    pretrain.pretrain(config, training_warehouse, tmp_path / "base", "validation")
    assert load_cloze(str(tmp_path / "base"), TEXT, WORDS).words.shape == (3,)
    with pytest.raises(ExpectedError, match="words expensive are not single tokens"):
        load_cloze(str(tmp_path / "base"), TEXT, ("cheap", "something", "expensive"))


def test_going_on_from_a_bundle_starts_with_its_weights(stranger, training_warehouse, tmp_path):
    # Dropout, and how texts would be read if they were, may differ.
    still = ["heads.learning_rate=1e-12", f"start_from={stranger}", "network.dropout=0.3", "network.pooling=cls"]
    arguments = ["--warehouse", training_warehouse, "--runs", str(tmp_path), "--config", str(CONFIG)]
    finetune.main([*arguments, *NUMBERS_ALONE, *still])
    [made] = tmp_path.glob("validation-*/bundle")
    theirs, ours = (bundle.load(each).network.state_dict() for each in (stranger, made))
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, atol=1e-6, rtol=0)
    assert [each.currency for each in learned(read_manifest(made))] == ["GBP", "USD"]


WITH_WORDS = [*SMALL, "tuning.freeze=head", "text.max_tokens=64"]
SAME = {"history": training_set.SPEC, "network": NetworkSpec(unit="history", vector_size=16, hidden_size=16)}


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({}, ["network.hidden_size=8"], "its network.hidden_size is 16, not 8 as in this run; give"),
        ({}, ["network.pooling=cls", "text.max_tokens=48"], "network.pooling is mean, not cls, its text.max_tokens is"),
        (
            {"history": HistorySpec(windows_days=(31,), recent_events=8)},
            [],
            r"history.windows_days is \(31,\), not \(30,\)",
        ),
        (
            {},
            ["tiers={names: [rest, top], quantiles: [0.8]}"],
            "its network has another shape, first in decider",
        ),
    ],
    ids=["widths", "texts", "numbers", "tiers"],
)
def test_a_bundle_of_another_build_cannot_be_gone_on_from(
    tiny_bert, training_warehouse, tmp_path, changes, overrides, message
):
    bundle_of = tiny.bundle_folder(tmp_path / "bundle", tiny_bert, tiny.facts().model_copy(update=SAME | changes))
    arguments = ["--warehouse", training_warehouse, "--runs", str(tmp_path), "--config", str(CONFIG), *WITH_WORDS]
    with pytest.raises(ExpectedError, match=message):
        finetune.main([*arguments, f"base={tiny_bert}", f"start_from={bundle_of}", *overrides])


def test_the_table_shows_every_way_at_every_size(stranger, masked, training_warehouse, monkeypatch, capsys):
    monkeypatch.setattr(ways, "CLOZE_EPOCHS", 1)
    arguments = ["--warehouse", training_warehouse, "--config", str(CONFIG), "--bundle", str(stranger)]
    arguments += ["--cloze", str(masked), "--words", *WORDS, "--labels", "30", "50", "--samples", "2", "--users", "40"]
    few_labels.main([*arguments, "--overrides", *NUMBERS_ALONE])
    printed = capsys.readouterr().out
    spearman, _, churn = printed[printed.index("\nSpearman") :].split("\n\n")
    for name in ("ridge and logistic", "new heads", "bundle, trained further", "cloze, tuned", "LightGBM"):
        [line] = [line for line in spearman.splitlines() if line.startswith(name)]
        assert len(re.findall(r"-?0\.\d{3} ± 0\.\d{3}", line)) == 2
    as_it_is = re.search(r"as it is +(\S+) ± 0\.000 +(\S+) ± 0\.000", spearman)
    assert as_it_is[1] == as_it_is[2]
    assert "cloze" not in churn
    best = spearman.splitlines()[-1]
    assert best.startswith("best")


def test_a_way_that_cannot_learn_from_a_draw_is_left_out_of_its_mean_and_the_table_says_so(tmp_path, capsys):
    """One user left, whom of all draws only the second one of 40 labels holds."""
    rows = training_set.frame()
    whole = read_training_set(str(training_set.write(tmp_path / "before", rows)))
    config = training_set.small(Path("nowhere"), *NUMBERS_ALONE)

    def drawn(labels: int, seed: int) -> set[str]:
        return set(draw_sample(whole, "validation", config.tiers, labels, 20, seed).task.train.rows["user_id"])

    leaver = min(drawn(40, 1) - drawn(40, 0) - drawn(30, 0) - drawn(30, 1))
    newest = rows["as_of_date"] == training_set.PROTOCOL.training_origins[1]
    rows.loc[newest, "churned"] = (rows["user_id"][newest] == leaver).astype(int)
    arguments = ["--warehouse", str(training_set.write(tmp_path / "after", rows)), "--config", str(CONFIG)]
    arguments += ["--labels", "30", "40", "--samples", "2", "--users", "40", "--overrides", *NUMBERS_ALONE]
    assert few_labels.main(arguments) == 0
    printed = capsys.readouterr().out
    tables, left_out = printed[: printed.index("left out")], printed[printed.index("left out") :]
    spearman, _, churn = tables[tables.index("\nSpearman") :].split("\n\n")
    for table in (spearman, churn):
        header, *lines = table.strip().splitlines()
        [line] = [line for line in lines if line.startswith("ridge and logistic")]
        assert re.fullmatch(r"ridge and logistic on log RFM +0\.\d{3} ± 0\.000", line)
        assert line.index("±") > header.index("30 labels") + len("30 labels")
        assert len(re.findall("±", next(line for line in lines if line.startswith("LightGBM")))) == 2
    for labels, draws in ((30, 2), (40, 1)):
        reason = f"all {labels} training rows have churned = 0; two classes are needed to learn from"
        assert f"left out: ridge and logistic on log RFM, {labels} labels, {draws} of 2 samples: {reason}\n" in left_out


def test_the_draws_hold_what_was_asked_for_and_differ(training_warehouse):
    config = training_set.small(Path("nowhere"), "network.use_text=false", "tuning.freeze=head")
    whole = read_training_set(training_warehouse)
    one, two = (draw_sample(whole, "validation", config.tiers, 30, 20, seed) for seed in (1, 2))
    assert len(one.task.train.rows) == 30
    assert set(one.task.train.rows["as_of_date"]) == {training_set.PROTOCOL.training_origins[1]}
    assert one.task.target.rows["user_id"].tolist() == two.task.target.rows["user_id"].tolist()
    assert one.task.train.rows["user_id"].tolist() != two.task.train.rows["user_id"].tolist()
    with pytest.raises(ExpectedError, match="60 users as of 2020-02-01, but 61 are asked for"):
        draw_sample(whole, "validation", config.tiers, 61, None, 0)


def test_a_bundle_of_this_very_platform_is_no_stranger(tiny_bert, training_warehouse, tmp_path):
    spec = NetworkSpec(unit="history", vector_size=16, hidden_size=16, use_text=False)
    about = tiny.facts(spec).model_copy(update={"history": training_set.SPEC, "horizon_days": 30})
    folder = tiny.bundle_folder(tmp_path / "bundle", tiny_bert, about)
    with pytest.raises(ExpectedError, match="learned from this platform"):
        few_labels.main(["--warehouse", training_warehouse, "--config", str(CONFIG), "--bundle", str(folder)])


def test_ranks_are_averaged():
    one = decisions(np.array([1.0, 2.0, 3.0]), np.array([0.3, 0.2, 0.1]))
    other = decisions(np.array([10.0, 30.0, 20.0]), None)
    found = ways.mean_rank(one, other)
    assert found["expected_value"].tolist() == [2, 5, 5]
    assert "churn_probability" not in found
    assert auc(np.array([False, True, True]), found["expected_value"], ones(3))[0] == 1
