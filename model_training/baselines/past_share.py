"""The user's past price sensitivity: the share of spend that was discounted or below reference price."""

import numpy as np

from model_training.baselines.task import BaselineTask, UnfitError, decisions, numbers
from model_training.data.outcome import Floats
from ulvspark.model.parts.predictions import Decisions


def below_reference(task: BaselineTask) -> Decisions:
    """The past share of spend below reference price: what the label measures, one window earlier."""
    return decisions(price_sensitivity=_past(task, "below_reference_share"))


def discounted(task: BaselineTask) -> Decisions:
    """The past share of list value that was taken off by discounts; of another level than the label."""
    return decisions(price_sensitivity=_past(task, "discount_share"))


def _past(task: BaselineTask, name: str) -> Floats:
    [share] = numbers(task.target, name)
    if np.isnan(share).all():
        raise UnfitError(f"no user has a {name}: the data hold no prices to compare with")
    return np.where(np.isnan(share), np.nanmean(share), share)
