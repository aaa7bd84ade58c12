"""Renews a published bundle around the same network: fetch, change, self-test, publish, move the alias."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from model_training.data.dataset import TrainingSet
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.bundle.bundle import BundleFacts, Manifest
from ulvspark.model.bundle.manifest import check_currency
from ulvspark.model.bundle.store import open_store
from ulvspark.model.predictor import Predictor


def renew(models: str, model: str, make: Callable[[Path, Path], Manifest]) -> str:
    """Publish what ``make`` writes into its second folder from the bundle in its first; returns the new version.

    ``model`` is a version or an alias; an alias is moved, unless someone else moved it meanwhile, which raises
    ExpectedError.
    """
    store = open_store(models)
    version = store.resolve(model)
    with TemporaryDirectory() as scratch:
        source, target = store.fetch(version, Path(scratch) / "source"), Path(scratch) / "target"
        make(source, target)
        Predictor.load(target).self_test()
        published = store.publish(target)
    if model != version:
        store.point(model, published, expected=version)
    return published


def facts_of(manifest: Manifest) -> BundleFacts:
    """The part of a manifest that is not derived from files."""
    return BundleFacts.model_validate({name: getattr(manifest, name) for name in BundleFacts.model_fields})


def held_out_share(manifest: Manifest) -> float:
    """The share of users, by hash of their id, that the network was not trained on."""
    try:
        return float(manifest.config["validation"]["held_out_share"])
    except KeyError:
        raise ExpectedError(
            f"bundle {manifest.version} does not say which users it held out; fine-tune with model_training.finetune"
        ) from None


def check_same_data(manifest: Manifest, training_set: TrainingSet) -> None:
    """Raises ExpectedError where ``training_set`` has another currency, history or horizon than the bundle."""
    meta = training_set.meta
    check_currency(manifest, meta.currency)
    if (meta.history_spec, meta.protocol.horizon_days) != (manifest.history, manifest.horizon_days):
        raise ExpectedError(
            f"training set {meta.run_id} has another history spec or horizon than bundle {manifest.version};"
            " build the training set with the bundle's conf/history.yaml and horizon, or fine-tune anew"
        )


def calibration_windows(closed: Iterable[date], days: int) -> tuple[date, ...]:
    """Of the dates whose windows have ``closed``, the newest and those less than ``days`` before it."""
    dates = sorted(set(closed))
    return tuple(window for window in dates if window > dates[-1] - timedelta(days=days))


def trained_until(manifest: Manifest) -> date:
    """The first date after every label window that the bundle was trained on."""
    return max(manifest.training_origins) + timedelta(days=manifest.horizon_days)
