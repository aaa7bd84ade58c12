"""LightGBM: the strong baseline, on the numbers that the net sees, and on product words beside them."""

from collections.abc import Mapping
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GroupShuffleSplit

from model_training.baselines.task import BaselineTask, UnfitError, decisions, two_classes
from model_training.data.dataset import TrainingSet
from model_training.data.outcome import Floats
from ulvspark.model.parts.predictions import Decisions

# Chosen on Online Retail II's validation cut.
SETTINGS = {
    "learning_rate": 0.05, "num_leaves": 7, "min_child_samples": 100, "subsample": 0.8, "subsample_freq": 1,
    "colsample_bytree": 0.3, "reg_lambda": 5.0, "n_estimators": 1500, "verbosity": -1, "random_state": 0,
}  # fmt: skip
PATIENCE = 50
HELD_OUT = 0.2
WORD_VECTOR = 32
MIN_SPEND = 1e-6
"""In platform scales; above 0, so that users expected to spend nothing keep their order."""


def numbers_alone(task: BaselineTask) -> Decisions:
    """LightGBM on the numbers as the net sees them."""
    return _predict(task, task.train.features(), task.target.features())


def with_words(task: BaselineTask) -> Decisions:
    """LightGBM on the numbers and TF-IDF vectors of the names in the history, reduced by SVD (LSA)."""
    known, new = (_words(part) for part in (task.train, task.target))
    if not any(text.strip() for text in known):
        raise UnfitError("no event of the histories names a product or carries text")
    words = TfidfVectorizer(min_df=5, sublinear_tf=True).fit(known)
    reduced = TruncatedSVD(min(WORD_VECTOR, len(words.vocabulary_)), random_state=0).fit(words.transform(known))
    vectors = (reduced.transform(words.transform(texts)) for texts in (known, new))
    features = (part.features() for part in (task.train, task.target))
    return _predict(task, *(np.hstack(columns) for columns in zip(features, vectors, strict=True)))


def _words(part: TrainingSet) -> list[str]:
    return [" ".join(_words_of(event) for event in _events(history)) for history in part.rows["history"]]


def _events(history: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return list((history or {}).get("events") or [])


def _words_of(event: Mapping[str, Any]) -> str:
    return " ".join(str(event[name]) for name in ("brand", "title", "category", "text") if event.get(name))


def _predict(task: BaselineTask, known: npt.NDArray[np.float32], new: npt.NDArray[np.float32]) -> Decisions:
    """Models stopped early on held-out users: one a label, and two of spend, whose geometric mean is the value.

    A Tweedie model predicts large spenders well, one of log(1 + spend) the order of all others.
    """
    outcome = task.outcome
    two_classes(outcome.labels["churn"])
    users = task.train.rows["user_id"]
    fit, held_out = next(GroupShuffleSplit(1, test_size=HELD_OUT, random_state=0).split(known, groups=users))

    def grow(model: Any, label: Any) -> Any:  # noqa: ANN401 - LightGBM has no types
        rows, watched = (part[~np.isnan(label[part])] for part in (fit, held_out))
        model.set_params(**SETTINGS).fit(
            known[rows], label[rows], eval_X=known[watched], eval_y=label[watched],
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        )  # fmt: skip
        return model

    mean = grow(lgb.LGBMRegressor(objective="tweedie"), outcome.spend_in_scales).predict(new)
    usual = np.expm1(grow(lgb.LGBMRegressor(), np.log1p(outcome.spend_in_scales)).predict(new))
    churn = grow(lgb.LGBMClassifier(), outcome.labels["churn"]).predict_proba(new)[:, 1]
    tier = grow(lgb.LGBMClassifier(objective="multiclass", num_class=len(task.tiers.names)), outcome.tier)
    return decisions(
        np.sqrt(mean * np.maximum(usual, MIN_SPEND)),
        churn,
        _by_tier(tier, new, task),
        _sensitivity(grow, outcome.labels["price_sensitivity"], new),
    )


def _by_tier(model: Any, new: npt.NDArray[np.float32], task: BaselineTask) -> Floats:  # noqa: ANN401
    probabilities = np.zeros((len(new), len(task.tiers.names)))
    probabilities[:, model.classes_.astype(int)] = model.predict_proba(new)
    return probabilities


def _sensitivity(grow: Any, label: Floats, new: npt.NDArray[np.float32]) -> Floats | None:  # noqa: ANN401
    if np.isnan(label).all():
        return None
    return np.asarray(grow(lgb.LGBMRegressor(objective="cross_entropy"), label).predict(new))
