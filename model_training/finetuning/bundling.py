"""Save a trained network as a bundle, measured as it will serve, and publish it."""

import shutil
from pathlib import Path

import numpy as np

from model_training.data.dataset import Rows, TrainingSet
from model_training.data.platforms import ELSEWHERE, described, inherited
from model_training.evaluation.bundle_metrics import evaluate_bundle
from model_training.finetuning.adapters import merge_adapter
from model_training.finetuning.task import TrainingTask
from model_training.runs.code_version import code_version
from ulvspark.model.bundle import bundle, serving_precision
from ulvspark.model.bundle.bundle import BundleFacts, Manifest
from ulvspark.model.bundle.manifest import read_manifest
from ulvspark.model.bundle.store import open_store
from ulvspark.model.inference.users import Users
from ulvspark.model.network.network import UserValueNetwork
from ulvspark.model.predictor import Predictor

BUNDLE, CANDIDATE = "bundle", "candidate"

PRECISION_USERS = 1000
"""Users on whom precisions are compared: enough to tell 99.5 % from 99 % of equal tiers."""


def save_bundle(task: TrainingTask, network: UserValueNetwork, untuned: dict[str, float] | None) -> Manifest:
    """Save the network, adapters merged, with its metrics on the cut, which are measured on the saved files.

    Raises RefusedError where the wanted serving precision does not agree with fp32.
    """
    if network.encoder is not None:
        network.encoder.backbone = merge_adapter(network.encoder.backbone)
    candidate, facts = task.folder / CANDIDATE, _with_precision(_facts(task), task, network)
    for leftover in (candidate, task.folder / BUNDLE):
        # Of a run that was killed before its report was written. A bundle is never overwritten.
        shutil.rmtree(leftover, ignore_errors=True)
    saved = bundle.save(candidate, network, task.tokenizer, facts)
    metrics = {f"{task.cut_name}_{name}": value for name, value in _measure(task, candidate).items()}
    metrics |= {f"untuned_{task.cut_name}_{name}": value for name, value in (untuned or {}).items()}
    measured = facts.model_copy(update={"metrics": metrics})
    manifest = bundle.save(task.folder / BUNDLE, network, task.tokenizer, measured)
    _check_same_weights(saved, manifest)
    Predictor.load(task.folder / BUNDLE).self_test()
    shutil.rmtree(candidate)
    return manifest


def _measure(task: TrainingTask, folder: Path) -> dict[str, float]:
    return {str(name): value for name, value in evaluate_bundle(folder, task.training_set, task.split.cut).items()}


def _check_same_weights(measured: Manifest, final: Manifest) -> None:
    """A network that changed between the two savings would make the metrics those of another one: a bug."""
    weights = {name: digest for name, digest in measured.files.items() if name.endswith(".safetensors")}
    if not weights.items() <= final.files.items():
        raise RuntimeError("the saved bundle has other weights than the one that was measured")


def _facts(task: TrainingTask) -> BundleFacts:
    meta, config = task.training_set.meta, task.config
    elsewhere = described(task.training_set.elsewhere)
    if config.start_from is not None:
        elsewhere += inherited(read_manifest(Path(config.start_from)))
    return BundleFacts(
        history=meta.history_spec,
        text=config.text,
        network=config.network,
        tiers=task.tiers,
        horizon_days=meta.protocol.horizon_days,
        currency=meta.currency,
        time_zone=meta.time_zone,
        base_model=task.base_name,
        data_versions={**meta.data_versions, "training_set": task.training_set.version},
        training_origins=meta.protocol.origins_closed_by(task.cut),
        protocol=meta.protocol,
        metrics={},
        seed=config.seed,
        code_version=code_version(),
        config=config.model_dump(mode="json") | ({ELSEWHERE: elsewhere} if elsewhere else {}),
    )


def _with_precision(facts: BundleFacts, task: TrainingTask, network: UserValueNetwork) -> BundleFacts:
    """``facts`` with the precision that the configuration asks for, and with what was measured of each precision."""
    wanted = task.config.serving_precision
    if wanted == "fp32":
        return facts
    users = _precision_sample(task.training_set, task.split.cut, facts)
    evidence = serving_precision.measure(network.eval(), task.tokenizer, facts, users)
    chosen = serving_precision.choose(wanted, evidence)
    return facts.model_copy(update={"precision": chosen, "precision_evidence": evidence or None})


def _precision_sample(training_set: TrainingSet, rows: Rows, facts: BundleFacts) -> Users:
    """Up to ``PRECISION_USERS`` users of ``rows``, which are of one date, evenly spread and without their labels."""
    distinct = training_set.rows.iloc[rows].drop_duplicates("history_hash")
    places = np.linspace(0, len(distinct) - 1, min(PRECISION_USERS, len(distinct)))
    users = distinct.iloc[np.unique(places.astype(int))]
    population = training_set.populations[users["as_of_date"].iloc[0]]
    return Users(users["history"].tolist(), users[list(facts.history.numbers)], population)


def publish(folder: Path, models: str, alias: str) -> str:
    """Publish the bundle in ``folder`` and point ``alias`` at it; returns a sentence for the terminal.

    A bundle that was published before does not take its alias back from another one, such as the blended bundle.
    """
    store, version = open_store(models), read_manifest(folder).version
    known, current = store.holds(version), store.current(alias)
    store.publish(folder)
    if known and current not in (None, version):
        move = f"open_store({models!r}).point({alias!r}, {version!r}, {current!r})"
        return (
            f"{version} was published to {models} before, and alias {alias} stays at {current}; to move it, run "
            f'python -c "from ulvspark.model.bundle.store import open_store; {move}"'
        )
    if current != version:
        store.point(alias, version, current)
    return f"published {version} to {models}, alias {alias}"
