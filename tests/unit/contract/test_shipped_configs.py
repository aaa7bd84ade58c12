"""Every YAML under conf/ loads as the configuration it is meant to be."""

from pathlib import Path

import pytest

from jobs.score_users import ScoreConfig
from model_training.blending.config import BlendConfig
from model_training.finetuning.config import TrainConfig
from model_training.pretraining.config import PretrainConfig
from model_training.searching.config import SearchConfig
from ulvspark.contract.config import load_config
from ulvspark.contract.source import SourceConfig
from ulvspark.contract.spec import HistorySpec
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
    "sources/*.yaml": SourceConfig,
    "tiers.yaml": TierDecision,
    "train.yaml": TrainConfig,
}
SHIPPED = {path: model for pattern, model in MODELS.items() for path in sorted(CONF.glob(pattern))}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(CONF).as_posix())
def test_it_loads(path):
    load_config(SHIPPED[path], path)


def test_none_is_left_out():
    assert sorted(SHIPPED) == sorted(path for path in CONF.rglob("*") if path.is_file())
