"""Heads: their labels and columns are in the tables, and only known ones can be asked for."""

import pytest
from pydantic import ValidationError

from model_training.finetuning.config import TrainConfig
from tests.training_set import CONF
from ulvspark.contract.config import load_config
from ulvspark.contract.heads import DEFAULT_HEADS, HEADS, filled_columns
from ulvspark.contract.schema import LABELS, SCORE_COLUMNS
from ulvspark.contract.spec import NetworkSpec


@pytest.mark.parametrize("head", HEADS.values(), ids=list(HEADS))
def test_labels_and_columns_are_in_the_tables(head):
    types = {column.name: column.type for column in SCORE_COLUMNS}
    assert head.label in {label.name for label in LABELS}
    assert {types[name] for name in head.columns} == {head.column_type}
    assert set(head.filled) <= types.keys()
    assert len(head.columns) == (4 if head.kind == "amount" else 1)


def test_what_heads_fill_is_named_once():
    assert filled_columns(("spend", "tier")).count("expected_value") == 1
    assert filled_columns(("churn",)) == ("churn_probability",)


def test_unknown_heads_and_repeated_ones_are_refused():
    with pytest.raises(ValidationError, match="unknown head 'tiers'; choose among tier, spend"):
        NetworkSpec(heads=("tiers",))
    with pytest.raises(ValidationError, match="name each head once"):
        NetworkSpec(heads=("tier", "tier"))


def test_the_shipped_configuration_trains_the_default_heads():
    assert load_config(TrainConfig, CONF / "train.yaml").network.heads == DEFAULT_HEADS
