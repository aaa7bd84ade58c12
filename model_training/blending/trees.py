"""Fits the boosted trees of a bundle to the numbers and labels that the network learns from."""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from model_training.blending.config import TreeConfig
from model_training.data.dataset import Rows
from model_training.data.outcome import Floats, Outcome
from ulvspark.contract.heads import HEADS, Head, Kind
from ulvspark.model.network.heads import SIGMA_RANGE
from ulvspark.model.parts.trees import Spread, Trees, targets_of

OBJECTIVES: dict[Kind, tuple[str, ...]] = {
    "classes": ("multiclass",),
    "amount": ("binary", "regression"),
    "count": ("poisson",),
    "probability": ("binary",),
    "share": ("cross_entropy",),
}
"""LightGBM's objective for each of ``targets_of`` a head of this kind."""


@dataclass(frozen=True)
class Target:
    """What one booster learns: ``label`` is (n,), NaN where it is unknown."""

    name: str
    objective: str
    label: Floats


def targets(head: Head, outcome: Outcome) -> list[Target]:
    """What the boosters of a head learn, in the order of ``targets_of``."""
    label = outcome.labels[head.name].astype(np.float64)
    labels = [label]
    if head.kind == "amount":
        positive = label > 0
        labels = [positive.astype(np.float64), np.where(positive, np.log(np.where(positive, label, 1.0)), np.nan)]
    return list(map(Target, targets_of(head), OBJECTIVES[head.kind], labels))


def fit_trees(
    features: npt.NDArray[np.float32],
    outcome: Outcome,
    fit: Rows,
    held_out: Rows,
    heads: tuple[str, ...],
    n_tiers: int,
    config: TreeConfig,
    seed: int,
) -> Trees:
    """Trees for ``heads`` from the rows ``fit``, as many rounds as improve the rows ``held_out``. Deterministic.

    A head whose label is unknown for all rows of either is left out: there is nothing to learn or to stop by.
    """
    boosters: dict[str, lgb.Booster] = {}
    sigma: dict[str, float] = {}
    for head in (HEADS[name] for name in heads):
        learned = targets(head, outcome)
        if not all(len(_known(target.label, rows)) for target in learned for rows in (fit, held_out)):
            continue
        for target in learned:
            parameters = _parameters(target.objective, n_tiers, config, seed)
            boosters[target.name] = _grow(features, target.label, fit, held_out, parameters, config)
        if head.kind == "amount":
            sigma[head.name] = _spread(boosters[learned[-1].name], features, learned[-1].label, held_out)
    return Trees(boosters, Spread(sigma=sigma))


def _known(label: Floats, rows: Rows) -> Rows:
    return rows[~np.isnan(label[rows])]


def _parameters(objective: str, n_tiers: int, config: TreeConfig, seed: int) -> dict[str, object]:
    classes = {"num_class": n_tiers} if objective == "multiclass" else {}
    return {
        "objective": objective, **classes, "learning_rate": config.learning_rate, "num_leaves": config.leaves,
        "min_data_in_leaf": config.min_leaf, "feature_fraction": config.feature_share, "lambda_l2": config.l2,
        "bagging_fraction": config.row_share, "bagging_freq": 1, "seed": seed, "deterministic": True,
        "force_row_wise": True, "verbosity": -1,
    }  # fmt: skip


def _grow(
    features: npt.NDArray[np.float32],
    label: Floats,
    fit: Rows,
    held_out: Rows,
    parameters: dict[str, object],
    config: TreeConfig,
) -> lgb.Booster:
    fit, held_out = _known(label, fit), _known(label, held_out)
    learned = lgb.Dataset(features[fit], label[fit])
    watched = learned.create_valid(features[held_out], label[held_out])
    stop = lgb.early_stopping(config.patience, verbose=False)
    booster = lgb.train(parameters, learned, config.max_rounds, valid_sets=[watched], callbacks=[stop])
    # Writing and reading drops the trees beyond the best round, as they will be missing from the bundle.
    return lgb.Booster(model_str=booster.model_to_string())


def _spread(booster: lgb.Booster, features: npt.NDArray[np.float32], log_amount: Floats, held_out: Rows) -> float:
    """Standard deviation of ``log_amount`` around what ``booster`` predicts of held-out rows."""
    rows = _known(log_amount, held_out)
    errors = log_amount[rows] - np.asarray(booster.predict(features[rows]))
    return float(np.clip(np.sqrt(np.mean(errors**2)), *SIGMA_RANGE))
