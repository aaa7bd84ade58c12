"""From a trained network to a published bundle, measured as it will serve."""

import shutil
from pathlib import Path

from model_training.data.platforms import ELSEWHERE, described, inherited
from model_training.evaluation.bundle_metrics import evaluate_bundle
from model_training.finetuning.adapters import merge_adapter
from model_training.finetuning.serving import sample, with_precision
from model_training.finetuning.task import TrainingTask
from model_training.runs.folders import code_version
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.bundle import BundleFacts, Manifest
from ulvspark.model.bundle.manifest import read_manifest
from ulvspark.model.bundle.store import open_store
from ulvspark.model.network.network import UserValueNetwork
from ulvspark.model.predictor import Predictor

BUNDLE, CANDIDATE = "bundle", "candidate"


def save_bundle(task: TrainingTask, network: UserValueNetwork, untuned: dict[str, float] | None) -> Manifest:
    """Save the network, adapters merged, with its metrics on the cut: those of the saved files, not of the memory."""
    if network.encoder is not None:
        network.encoder.backbone = merge_adapter(network.encoder.backbone)
    candidate, facts = task.folder / CANDIDATE, _facts(task)
    users = sample(task.training_set, task.split.cut, facts)
    facts = with_precision(facts, network, task.tokenizer, users, task.config.serving_precision)
    saved = bundle.save(candidate, network, task.tokenizer, facts)
    metrics = {f"{task.cut_name}_{name}": value for name, value in _measure(task, candidate).items()}
    metrics |= {f"untuned_{task.cut_name}_{name}": value for name, value in (untuned or {}).items()}
    measured = facts.model_copy(update={"metrics": metrics})
    manifest = bundle.save(task.folder / BUNDLE, network, task.tokenizer, measured)
    weights = {name: digest for name, digest in saved.files.items() if name.endswith(".safetensors")}
    assert weights.items() <= manifest.files.items(), "the bundle is not what was measured"  # noqa: S101
    Predictor.load(task.folder / BUNDLE).self_test()
    shutil.rmtree(candidate)
    return manifest


def _measure(task: TrainingTask, folder: Path) -> dict[str, float]:
    return {str(name): value for name, value in evaluate_bundle(folder, task.training_set, task.split.cut).items()}


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
        metrics={},
        seed=config.seed,
        code_version=code_version(),
        config=config.model_dump(mode="json") | ({ELSEWHERE: elsewhere} if elsewhere else {}),
    )


def publish(folder: Path, models: str, alias: str) -> str:
    """Publish the bundle in ``folder`` and point ``alias`` at it; returns a sentence for the terminal.

    Of a bundle that was published before, an alias that stands for another by now (a blended one, say) is left alone.
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
