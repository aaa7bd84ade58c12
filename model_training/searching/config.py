"""What a search tries: ``conf/search.yaml``."""

from typing import Any, Self

from pydantic import Field, model_validator

from model_training.evaluation.metrics import Metric
from ulvspark.contract.config import Seed, Strict


class Choices(Strict):
    """One of several values."""

    choices: tuple[Any, ...] = Field(min_length=2)


class Range(Strict):
    """A number from ``low`` to ``high``: an integer where both are integers."""

    low: int | float
    high: int | float
    log: bool = False
    """Whether to draw on a logarithmic scale."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("low must be less than high, and above 0 where log: true")
        return self


class SearchConfig(Strict):
    """``conf/search.yaml``."""

    train: str
    """The training configuration that the search starts from, as a path relative to this file."""
    metric: Metric = "spearman"
    """What is optimised, measured on the users of the validation cut."""
    trials: int = Field(ge=1)
    """Trials that end, those of earlier starts of the search included."""
    startup_trials: int = Field(5, ge=1)
    """The first trials, which are drawn at random and never stopped early."""
    seed: Seed = 7
    space: dict[str, Choices | Range] = Field(min_length=1)
    """The values to try, by dotted path in the training configuration."""
