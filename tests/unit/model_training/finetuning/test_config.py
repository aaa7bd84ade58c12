from pathlib import Path

import pytest

from model_training.finetuning.config import TrainConfig, load_train_config
from ulvspark.contract.errors import ExpectedError

CONF = Path(__file__).parents[4] / "conf"
SHIPPED = [CONF / "train.yaml", *sorted((CONF / "recipes").glob("*.yaml"))]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_loads(path):
    config = load_train_config(path)
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config


def test_a_recipe_holds_only_what_differs(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"extends: {CONF}/train.yaml\ntuning: {{freeze: all}}\nseed: 9\n")
    config = load_train_config(tmp_path / "mine.yaml", ["tuning.optimiser.epochs=3"])
    default = load_train_config(CONF / "train.yaml")
    assert (config.tuning.freeze, config.seed, config.tuning.optimiser.epochs) == ("all", 9, 3)
    assert config.heads == default.heads


def test_all_mistakes_are_named_at_once_with_their_places():
    wrong = ["base_model=x", "text.max_tokens=2", "tuning.freeze=some", "heads.learning_rate=-1", "trackers=[comet]"]
    with pytest.raises(ExpectedError) as found:
        load_train_config(CONF / "train.yaml", wrong)
    for place in ("base_model: unknown key", "text.max_tokens", "tuning.freeze", "heads.learning_rate", "trackers.0"):
        assert place in str(found.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tuning.freeze=all", "tuning.adapter={kind: lora}"], "give freeze: head"),
        (["network.heads=[tier, spend]", "validation.metric=churn_auc"], "churn_auc needs churn among network.heads"),
        (["network.use_text=false", "tuning.freeze=all"], "tuning.freeze must be head"),
        (["loss.class_weights=[1, 2]"], "2 weights for 3 tiers"),
        (["tuning.freeze=head", "tuning.adapter={kind: adalora, first_rank: 4, final_rank: 4}"], "less than"),
        (["tuning.freeze=head", "tuning.adapter={kind: bottleneck}"], "tuning.adapter"),
    ],
)  # fmt: skip
def test_choices_that_contradict_each_other(overrides, message):
    with pytest.raises(ExpectedError, match=message):
        load_train_config(CONF / "train.yaml", overrides)
