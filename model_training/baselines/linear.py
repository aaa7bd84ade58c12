"""Ridge and logistic regression: on one score to turn it into probabilities, or on a few logarithms."""

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from model_training.baselines.task import BaselineTask, decisions, nearest_window, numbers, two_classes
from model_training.data.dataset import TrainingSet
from model_training.data.outcome import Floats
from ulvspark.model.parts.predictions import Decisions


def log_rfm(part: TrainingSet, window: int) -> Floats:
    """(n, 6) logarithms of recency, frequency and money (in platform scales, all time and lately), and tenure."""
    recency, orders, lately, spend, spend_lately, tenure = numbers(
        part, "recency_days", "orders", f"orders_{window}d", "net_spend", f"net_spend_{window}d", "tenure_days"
    )
    money = [np.maximum(amount, 0) / part.scales() for amount in (spend, spend_lately)]
    return np.log1p(np.column_stack([recency, orders, lately, *money, tenure]))


def predict(task: BaselineTask) -> Decisions:
    """Logistic regressions of leaving and tier, ridge of log(1 + spend), all on log RFM.

    The mean of spend comes back through the smearing factor of Duan (1983), JASA 78 (383).
    """
    window = nearest_window(task)
    known, new = log_rfm(task.train, window), log_rfm(task.target, window)
    churn, tiers = probabilities(task, known, new)
    ridge = make_pipeline(StandardScaler(), Ridge()).fit(known, np.log1p(task.outcome.spend_in_scales))
    smearing = (1 + task.outcome.spend_in_scales).mean() / np.exp(ridge.predict(known)).mean()
    value = np.maximum(np.exp(ridge.predict(new)) * smearing - 1, 0)
    return decisions(value, churn, tiers)


def probabilities(task: BaselineTask, known: Floats, new: Floats) -> tuple[Floats, Floats]:
    """Probabilities (n,) of leaving and (n, K) of the tiers by logistic regression on columns of train and target."""
    two_classes(task.outcome.labels["churn"])
    leaving = _logistic().fit(known, task.outcome.labels["churn"])
    tier = _logistic().fit(known, task.outcome.tier)
    by_tier = np.zeros((len(new), len(task.tiers.names)))
    by_tier[:, tier.classes_] = tier.predict_proba(new)
    return np.asarray(leaving.predict_proba(new)[:, 1]), by_tier


def _logistic() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
