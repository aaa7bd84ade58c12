"""``conf/blend.yaml``: how the parts beside the network, their weights and the calibration are fitted."""

from pydantic import Field

from ulvspark.contract.config import Seed, Strict
from ulvspark.contract.dates import Days


class TreeConfig(Strict):
    """LightGBM's settings; see its documentation. Rounds end when held-out users stop gaining."""

    learning_rate: float = Field(gt=0)
    leaves: int = Field(ge=2)
    min_leaf: int = Field(ge=1)
    feature_share: float = Field(gt=0, le=1)
    row_share: float = Field(gt=0, le=1)
    l2: float = Field(ge=0)
    max_rounds: int = Field(ge=1)
    patience: int = Field(ge=1)


class CalibrationConfig(Strict):
    """What the calibration is measured on."""

    days: Days
    """The newest label window that has closed, and those that closed less than so many days before it."""
    coverage: float = Field(gt=0, lt=1)
    """The share of users whose spend the interval should hold."""


class BlendConfig(Strict):
    """The whole file."""

    trees: TreeConfig
    weight_step: float = Field(gt=0, le=1)
    """Weights are tried at multiples of this."""
    calibration: CalibrationConfig
    seed: Seed
