"""Spend of the last days, as many as the horizon has: the simplest thing that ranks customers."""

import numpy as np

from model_training.baselines.linear import probabilities
from model_training.baselines.task import BaselineTask, decisions, nearest_window, numbers
from model_training.data.dataset import TrainingSet
from model_training.data.outcome import Floats
from ulvspark.model.parts.predictions import Decisions


def predict(task: BaselineTask) -> Decisions:
    """What was spent is what will be; logistic regressions on its logarithm give probabilities in the same order."""
    window = nearest_window(task)
    earlier, lately = (_spend_in_scales(part, window) for part in (task.train, task.target))
    churn, tiers = probabilities(task, np.log1p(earlier)[:, None], np.log1p(lately)[:, None])
    return decisions(lately * task.horizon_days / window, churn, tiers)


def _spend_in_scales(part: TrainingSet, window: int) -> Floats:
    [spend] = numbers(part, f"net_spend_{window}d")
    return np.maximum(spend, 0) / part.scales()
