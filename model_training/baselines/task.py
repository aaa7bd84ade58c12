"""The input of a baseline: rows whose labels were known on the cut, and the users to predict, without labels."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from model_training.data.dataset import TrainingSet, restrict
from model_training.data.outcome import Floats, Outcome
from ulvspark.contract.schema import LABELS
from ulvspark.contract.spec import TierSpec
from ulvspark.model.parts.predictions import Decisions


class UnfitError(Exception):
    """Raised when a baseline cannot be fitted to the data: one sentence saying why."""


@dataclass(frozen=True)
class BaselineTask:
    """``train`` with labels from origins closed by the cut; ``target`` the users of the cut, stripped of theirs."""

    train: TrainingSet
    target: TrainingSet
    tiers: TierSpec

    @property
    def outcome(self) -> Outcome:
        """Of ``train``."""
        return self.train.outcome(self.tiers)

    @property
    def horizon_days(self) -> int:
        return self.train.meta.protocol.horizon_days


def make_task(training_set: TrainingSet, cut: date, tiers: TierSpec) -> BaselineTask:
    """Divide ``training_set`` at ``cut``. Nothing that happened on or after the cut is within the task."""
    known = restrict(training_set, cut)
    at_cut = known.rows["as_of_date"].to_numpy() == cut
    target = known.rows[at_cut].drop(columns=[label.name for label in LABELS])
    return BaselineTask(
        _with_rows(known, ~at_cut), TrainingSet(known.meta, known.version, target, known.populations), tiers
    )


def _with_rows(training_set: TrainingSet, chosen: "npt.NDArray[np.bool_]") -> TrainingSet:
    rows = training_set.rows[chosen].reset_index(drop=True)
    return TrainingSet(training_set.meta, training_set.version, rows, training_set.populations)


def numbers(part: TrainingSet, *names: str) -> tuple[Floats, ...]:
    """Columns of the behaviour table, each (n,), NaN where unknown."""
    return tuple(part.rows[name].to_numpy(np.float64, na_value=np.nan) for name in names)


def nearest_window(task: BaselineTask) -> int:
    """The days of the behaviour window that is most like the horizon."""
    return min(task.train.meta.history_spec.windows_days, key=lambda days: abs(days - task.horizon_days))


def two_classes(churned: Floats) -> None:
    """Raises UnfitError where everyone or nobody left in the training windows."""
    if len(np.unique(churned)) < 2:
        raise UnfitError(
            f"all {len(churned)} training rows have churned = {churned[0]:.0f}; two classes are needed to learn from"
        )


def decisions(
    value: Floats | None = None,
    churn: Floats | None = None,
    tiers: Floats | None = None,
    price_sensitivity: Floats | None = None,
) -> Decisions:
    """What a baseline predicts: mean spend in platform scales, probability of leaving, (n, K) of the tiers, share."""
    columns = {
        "tier_probabilities": tiers,
        "expected_value": value,
        "churn_probability": churn,
        "price_sensitivity": price_sensitivity,
    }
    return {column: values for column, values in columns.items() if values is not None}
