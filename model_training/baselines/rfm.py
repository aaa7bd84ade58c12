"""RFM scores: quintiles of recency, frequency and money added up, and what became of the users of each score."""

import numpy as np
import pandas as pd

from model_training.baselines.task import Floats, Task, decisions, numbers, two_classes
from model_training.data.dataset import TrainingSet
from ulvspark.model.parts.predictions import Decisions


def predict(task: Task) -> Decisions:
    """The training means of spend, leaving and tier at the user's score; an unseen score gets everyone's."""
    two_classes(task.outcome.churned)
    outcome = task.outcome
    tiers = np.eye(len(task.tiers.names))[outcome.tier]
    labels = pd.DataFrame(np.column_stack([outcome.spend, outcome.churned, tiers]), index=rfm_score(task.train))
    found = labels.groupby(level=0).mean().reindex(rfm_score(task.target)).fillna(labels.mean()).to_numpy()
    return decisions(found[:, 0] * task.target.scales(), found[:, 1], found[:, 2:])


def rfm_score(part: TrainingSet) -> Floats:
    """(n,) 3 to 15, the sum of fifths (1 to 5) of recency, orders and net spend among the users of each date."""
    recency, orders, spend = numbers(part, "recency_days", "orders", "net_spend")
    table = pd.DataFrame({"recency": -recency, "orders": orders, "spend": spend})
    shares = table.groupby(part.rows["as_of_date"].to_numpy()).rank(pct=True)
    fifths = np.ceil(shares * 5).clip(1, 5)
    return np.asarray(fifths.sum(axis=1))
