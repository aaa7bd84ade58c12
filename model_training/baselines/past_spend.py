"""Spend of the last days, as many as the horizon has: the simplest thing that ranks customers."""

import numpy as np

from model_training.baselines.linear import probabilities
from model_training.baselines.task import Floats, Task, decisions, nearest_window, numbers
from model_training.data.dataset import TrainingSet
from ulvspark.model.parts.predictions import Decisions


def predict(task: Task) -> Decisions:
    """What was spent is what will be; logistic regressions on its logarithm give probabilities in the same order."""
    window = nearest_window(task)
    known, new = (np.log1p(_spend(part, window) / part.scales())[:, None] for part in (task.train, task.target))
    churn, tiers = probabilities(task, known, new)
    return decisions(_spend(task.target, window) * task.horizon_days / window, churn, tiers)


def _spend(part: TrainingSet, window: int) -> Floats:
    [spend] = numbers(part, f"net_spend_{window}d")
    return np.maximum(spend, 0)
