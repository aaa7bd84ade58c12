"""Draw a small sample of labelled users, and the users that every way of learning is judged on."""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from model_training.baselines.task import BaselineTask, make_task
from model_training.data import dataset
from model_training.data.dataset import Rows, TrainingSet
from model_training.data.tier_fit import TierFit, fit_tiers
from ulvspark.contract.errors import ExpectedError


@dataclass(frozen=True)
class Sample:
    """Users with labels, and the users of the cut to predict."""

    training_set: TrainingSet
    """The rows of both."""
    task: BaselineTask
    """The same rows as baselines take them."""
    cut_name: str
    seed: int

    @property
    def cut(self) -> date:
        return dataset.cut_date(self.training_set.meta.protocol, self.cut_name)


def draw_sample(whole: TrainingSet, cut_name: str, tiers: TierFit, labels: int, users: int | None, seed: int) -> Sample:
    """``labels`` users of the newest origin closed by the cut, and ``users`` of the cut (all where None).

    The users of the cut do not depend on ``seed``. Raises ExpectedError where there are fewer than asked for.
    """
    cut = dataset.cut_date(whole.meta.protocol, cut_name)
    newest = max(whole.meta.protocol.origins_closed_by(cut))
    chosen = np.concatenate([_draw_rows(whole, newest, labels, seed), _draw_rows(whole, cut, users, 0)])
    few = replace(whole, rows=whole.rows.iloc[chosen].reset_index(drop=True))
    labelled = slice(0, labels)
    spec = fit_tiers(tiers, few.rows["spend"].to_numpy("float64")[labelled], few.scales()[labelled])
    return Sample(few, make_task(few, cut, spec), cut_name, seed)


def _draw_rows(whole: TrainingSet, as_of: date, size: int | None, seed: int) -> Rows:
    rows = np.flatnonzero(whole.rows["as_of_date"].to_numpy() == as_of)
    if size is None:
        return rows
    if size > len(rows):
        raise ExpectedError(f"training set: {len(rows)} users as of {as_of}, but {size} are asked for; ask for fewer")
    return np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))
