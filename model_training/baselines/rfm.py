"""RFM scores: quintiles of recency, frequency and money added up, and what became of the users of each score."""

import numpy as np
import pandas as pd

from model_training.baselines.task import BaselineTask, decisions, numbers, two_classes
from model_training.data.dataset import TrainingSet
from model_training.data.outcome import Floats
from ulvspark.model.parts.predictions import Decisions


def predict(task: BaselineTask) -> Decisions:
    """The training means of spend, leaving and tier at the user's score, or of everyone if nobody had that score."""
    two_classes(task.outcome.labels["churn"])
    outcome = task.outcome
    tiers = np.eye(len(task.tiers.names))[outcome.tier]
    labels = pd.DataFrame(
        np.column_stack([outcome.spend_in_scales, outcome.labels["churn"], tiers]), index=rfm_score(task.train)
    )
    means = labels.groupby(level=0).mean().reindex(rfm_score(task.target)).fillna(labels.mean()).to_numpy()
    return decisions(means[:, 0], means[:, 1], means[:, 2:])


def rfm_score(part: TrainingSet) -> Floats:
    """(n,) 3 to 15, the sum of fifths (1 to 5) of recency, orders and net spend among the users of each date."""
    recency, orders, spend = numbers(part, "recency_days", "orders", "net_spend")
    table = pd.DataFrame({"recency": -recency, "orders": orders, "spend": spend})
    shares = table.groupby(part.rows["as_of_date"].to_numpy()).rank(pct=True)
    fifths = np.ceil(shares * 5).clip(1, 5)
    return np.asarray(fifths.sum(axis=1))
