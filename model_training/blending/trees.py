"""Fits the boosted trees of a bundle: the same numbers and labels that the network learns from."""

from collections.abc import Iterator, Mapping

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from model_training.blending.config import TreeConfig
from model_training.data.dataset import Rows
from model_training.evaluation.metrics import Floats, Outcome
from ulvspark.contract.spec import Head
from ulvspark.model.network.heads import SIGMA_RANGE
from ulvspark.model.parts.trees import Gbm, Spread, Target

OBJECTIVES: dict[Target, str] = {
    "tier": "multiclass",
    "spends": "binary",
    "log_spend": "regression",
    "churn": "binary",
    "price_sensitivity": "cross_entropy",
}

TARGETS: dict[Head, tuple[Target, ...]] = {
    "tier": ("tier",),
    "spend": ("spends", "log_spend"),
    "churn": ("churn",),
    "price_sensitivity": ("price_sensitivity",),
}


def targets(outcome: Outcome) -> dict[Target, Floats]:
    """(n,) what each booster learns; NaN where it has no label."""
    spends = outcome.spend > 0
    return {
        "tier": outcome.tier.astype(np.float64),
        "spends": spends.astype(np.float64),
        "log_spend": np.where(spends, np.log(np.where(spends, outcome.spend, 1.0)), np.nan),
        "churn": outcome.churned,
        "price_sensitivity": outcome.price_sensitivity,
    }


def fit_trees(
    features: npt.NDArray[np.float32],
    outcome: Outcome,
    fit: Rows,
    held_out: Rows,
    heads: tuple[Head, ...],
    n_tiers: int,
    config: TreeConfig,
    seed: int,
) -> Gbm:
    """Trees for ``heads`` from the rows ``fit``, as many rounds as the rows ``held_out`` gain by. Deterministic.

    A head without a label among either has none: there is nothing to grow or to stop by.
    """
    labels = targets(outcome)
    boosters: dict[Target, lgb.Booster] = {}
    for target in _labelled(heads, labels, fit, held_out):
        label = labels[target]
        learned, watched = (_seen(label, rows) for rows in (fit, held_out))
        parameters = _parameters(target, n_tiers, config, seed)
        boosters[target] = _grow(features, label, learned, watched, parameters, config)
    grown = boosters.get("log_spend")
    return Gbm(boosters, None if grown is None else _spread(grown, features, labels["log_spend"], held_out))


def _labelled(heads: tuple[Head, ...], labels: Mapping[Target, Floats], fit: Rows, held_out: Rows) -> Iterator[Target]:
    """The targets of the heads that can be learned: all of a head's or none."""
    for head in heads:
        if all(len(_seen(labels[target], rows)) for target in TARGETS[head] for rows in (fit, held_out)):
            yield from TARGETS[head]


def _seen(label: Floats, rows: Rows) -> Rows:
    return rows[~np.isnan(label[rows])]


def _parameters(target: Target, n_tiers: int, config: TreeConfig, seed: int) -> dict[str, object]:
    classes = {"num_class": n_tiers} if target == "tier" else {}
    return {
        "objective": OBJECTIVES[target], **classes, "learning_rate": config.learning_rate, "num_leaves": config.leaves,
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
    learned = lgb.Dataset(features[fit], label[fit])
    watched = learned.create_valid(features[held_out], label[held_out])
    stop = lgb.early_stopping(config.patience, verbose=False)
    booster = lgb.train(parameters, learned, config.max_rounds, valid_sets=[watched], callbacks=[stop])
    # Saved and read again, so that the trees beyond the best round are gone here as they are in the bundle.
    return lgb.Booster(model_str=booster.model_to_string())


def _spread(booster: lgb.Booster, features: npt.NDArray[np.float32], log_spend: Floats, held_out: Rows) -> Spread:
    rows = _seen(log_spend, held_out)
    errors = log_spend[rows] - np.asarray(booster.predict(features[rows]))
    return Spread(sigma=float(np.clip(np.sqrt(np.mean(errors**2)), *SIGMA_RANGE)))
