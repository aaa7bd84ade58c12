"""Every YAML under conf/ loads as the configuration it is meant to be."""

from pathlib import Path

import pytest

from model_training.blending.config import BlendConfig
from model_training.finetuning.config import TrainConfig
from model_training.pretraining.config import PretrainConfig
from model_training.searching.config import SearchConfig
from ulvspark.contract.config import load_config
from ulvspark.contract.source.source import SourceConfig
from ulvspark.contract.spec import HistorySpec, NetworkSpec, SequenceSpec, TextSpec
from ulvspark.pipelines.score_users import ScoreConfig
from ulvspark.scoring.tiers import TierDecision
from ulvspark.simulation.config import SimulationConfig

CONF = Path(__file__).parents[3] / "conf"

MODELS = {
    "blend.yaml": BlendConfig,
    "history.yaml": HistorySpec,
    "pretrain.yaml": PretrainConfig,
    "recipes/*.yaml": TrainConfig,
    "score.yaml": ScoreConfig,
    "search.yaml": SearchConfig,
    "simulation.yaml": SimulationConfig,
    "simulation/*.yaml": SimulationConfig,
    "sources/*.yaml": SourceConfig,
    "tiers.yaml": TierDecision,
    "train.yaml": TrainConfig,
}
SHIPPED = {path: model for pattern, model in MODELS.items() for path in sorted(CONF.glob(pattern))}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(CONF).as_posix())
def test_it_loads(path):
    load_config(SHIPPED[path], path)


@pytest.mark.parametrize(
    ("shipped", "spec"),
    [
        (load_config(HistorySpec, CONF / "history.yaml"), HistorySpec),
        (load_config(SimulationConfig, CONF / "simulation.yaml"), SimulationConfig),
        (load_config(TrainConfig, CONF / "train.yaml").text, TextSpec),
        (load_config(TrainConfig, CONF / "train.yaml").network, NetworkSpec),
        (load_config(TrainConfig, CONF / "train.yaml").network.sequence, SequenceSpec),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_defaults_of_specs_are_the_values_that_are_shipped(shipped, spec):
    assert shipped == spec.model_validate({})


def test_none_is_left_out():
    assert sorted(SHIPPED) == sorted(path for path in CONF.rglob("*") if path.is_file())
