"""Add boosted trees and a linear model to a fine-tuned bundle, weigh the parts, calibrate, and publish.

    python -m model_training.blend --warehouse ROOT --models ROOT [--cut validation|test] [a.b=value ...]

The trees and the linear model learn from the users that the network learned from. The weights of the parts are chosen
on users as of the validation cut, whose labels no part has seen. To choose on all of them, blend a bundle of the
validation cut first and give it to that of the test cut with --weights-from.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from model_training.blending import held_out_predictions
from model_training.blending.calibrate import fit_calibration
from model_training.blending.config import BlendConfig
from model_training.blending.evidence import evidence, evidence_lines
from model_training.blending.held_out_predictions import HeldOutPredictions
from model_training.blending.regression import fit_linear
from model_training.blending.renewal import calibration_windows, check_same_data, facts_of, held_out_share, renew
from model_training.blending.trees import fit_trees
from model_training.blending.weights import choose_weights, share_among_parts
from model_training.data import dataset
from model_training.data.dataset import PLATFORM, Rows, Split, TrainingSet
from model_training.data.outcome import Outcome
from model_training.data.platforms import ELSEWHERE, check_amounts, read_platforms
from ulvspark.contract.arguments import (
    add_config,
    add_cut,
    add_elsewhere,
    add_model,
    add_models,
    add_overrides,
    add_warehouse,
    command_parser,
)
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.contract.heads import HEADS
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.bundle import Manifest
from ulvspark.model.bundle.manifest import read_manifest
from ulvspark.model.bundle.store import open_store
from ulvspark.model.parts.blend import PARTS, Weights, blend
from ulvspark.model.parts.calibration import Calibration
from ulvspark.model.parts.parts import Parts
from ulvspark.model.predictor import Predictor


@dataclass(frozen=True)
class BlendTask:
    """What a blend for one cut is fitted and measured on."""

    predictor: Predictor
    training_set: TrainingSet
    """Only what a model for the cut may see, and the users of the cut."""
    cut: date
    cut_name: str
    split: Split
    outcome: Outcome
    """Of all rows."""


def main(argv: Sequence[str] | None = None) -> int:
    """Blend, report and publish; raises ExpectedError for bad input."""
    args = parser().parse_args(argv)
    config = load_config(BlendConfig, args.config, args.overrides)
    weights = None if args.weights_from is None else weights_of(args.models, args.weights_from)
    training_set = read_platforms(args.warehouse, args.elsewhere, args.cut)

    def make(source: Path, target: Path) -> Manifest:
        return blend_bundle(source, target, training_set, args.cut, config, weights)

    version = renew(args.models, args.model, make)
    print(f"published {version} in {args.models}" + (f" as {args.model}" if args.model != version else ""))
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line. --cut and --elsewhere are those of the fine-tuning; an alias given as --model is moved."""
    command = command_parser("model_training.blend", __doc__)
    add_warehouse(command)
    add_elsewhere(command)
    add_models(command)
    add_model(command)
    add_cut(command)
    command.add_argument("--weights-from", metavar="MODEL", help="take the weights of this blended bundle")
    add_config(command, "conf/blend.yaml")
    add_overrides(command)
    return command


def weights_of(models: str, model: str) -> Weights:
    """The weights of a blended bundle. Raises ExpectedError where it is not blended."""
    with TemporaryDirectory() as scratch:
        manifest = read_manifest(open_store(models).fetch(model, Path(scratch)))
    if manifest.blend is None:
        raise ExpectedError(f"--weights-from {model}: bundle {manifest.version} is not blended; blend it first")
    return manifest.blend


def blend_bundle(
    source: Path, target: Path, training_set: TrainingSet, cut_name: str, config: BlendConfig, weights: Weights | None
) -> Manifest:
    """Write into ``target`` the bundle ``source`` with trees, linear model, weights (chosen where None), calibration.

    Raises ExpectedError where ``training_set`` is not what the bundle was trained on, or has one class only.
    """
    task = _task(Predictor.load(source), training_set, cut_name)
    heads, tiers = task.predictor.manifest.network.heads, task.predictor.manifest.tiers
    parts = _fit_parts(task, config)
    rows = _held_out_at_home(task)
    held_out = _predict(task, parts, rows)
    dates = task.training_set.rows["as_of_date"].to_numpy()[rows]
    if weights is None:
        choosing = held_out.take(np.flatnonzero(dates == training_set.meta.protocol.validation_cut))
        print(f"weights: chosen on {choosing.outcome.users:,} users")
        weights = choose_weights(choosing.predictions, choosing.outcome, heads, config.weight_step)
    weights = share_among_parts(weights, held_out.predictions)
    parts = _with_weight(parts, weights)
    calibration = _calibrate(task, held_out, rows, weights, config)
    metrics = evidence(held_out.take(np.flatnonzero(dates == task.cut)), weights, calibration, tiers, cut_name)
    _report(weights, metrics, cut_name)
    facts = facts_of(task.predictor.manifest)
    changed = {"blend": weights, "metrics": {**facts.metrics, **metrics},
               "config": {**facts.config, "blend": config.model_dump(mode="json")}}  # fmt: skip
    return bundle.extend(target, source, facts.model_copy(update=changed), replace(parts, calibration=calibration))


def _task(predictor: Predictor, training_set: TrainingSet, cut_name: str) -> BlendTask:
    manifest = predictor.manifest
    check_same_data(manifest, training_set)
    _check_elsewhere(manifest, training_set)
    cut = dataset.cut_date(training_set.meta.protocol, cut_name)
    known = training_set.meta.protocol.origins_closed_by(cut)
    if known != manifest.training_origins:
        raise ExpectedError(
            f"bundle {manifest.version} was trained on {len(manifest.training_origins)} origins up to"
            f" {max(manifest.training_origins)}, but the {cut_name} cut {cut} closes {len(known)} up to {max(known)};"
            " give the --cut that it was fine-tuned for"
        )
    visible = dataset.restrict(training_set, cut)
    split = dataset.split(visible.rows, cut, held_out_share(manifest), min_users=2)
    outcome = visible.outcome(manifest.tiers)
    _check_classes(outcome.take(split.fit))
    return BlendTask(predictor, visible, cut, cut_name, split, outcome)


def _check_elsewhere(manifest: Manifest, training_set: TrainingSet) -> None:
    learned = [platform["run_id"] for platform in manifest.config.get(ELSEWHERE, ()) if "run_id" in platform]
    given = [platform.meta.run_id for platform in training_set.elsewhere]
    if manifest.tiers.unit == "currency":
        check_amounts(training_set)
    if learned != given:
        raise ExpectedError(
            f"bundle {manifest.version} learned from {learned or 'no platform'} elsewhere, not from {given or 'none'}; "
            "give the same --elsewhere as to model_training.finetune"
        )


def _check_classes(outcome: Outcome) -> None:
    for head in HEADS.values():
        happened = outcome.labels[head.name] > 0
        if head.kind in ("probability", "amount") and len(np.unique(happened)) < 2:
            raise ExpectedError(
                f"training set: column {head.label} is above 0 for all training users or for none, so there is "
                "nothing to tell apart; change the horizon or add origins"
            )


def _fit_parts(task: BlendTask, config: BlendConfig) -> Parts:
    manifest, split = task.predictor.manifest, task.split
    heads, n_tiers = manifest.network.heads, len(manifest.tiers.names)
    features = task.training_set.features()
    print(f"trees and linear model: {len(split.fit):,} rows to fit, {len(split.held_out):,} held out")
    trees = fit_trees(
        features, task.outcome, split.fit, split.held_out, heads, n_tiers, config.trees, config.seed
    )  # fmt: skip
    rfm = held_out_predictions.rfm(task.training_set, split.fit)
    return Parts(trees, fit_linear(rfm, task.outcome.take(split.fit), heads))


def _held_out_at_home(task: BlendTask) -> Rows:
    """Held-out rows and those of the cut. Weights and calibration are for the home platform: others are left out."""
    held_out = task.split.held_out
    platform = task.training_set.rows[PLATFORM].to_numpy()
    return np.concatenate([held_out[platform[held_out] == 0], task.split.cut])


def _predict(task: BlendTask, parts: Parts, rows: Rows) -> HeldOutPredictions:
    scorer = replace(task.predictor.scorer, parts=parts, weights={})
    vectors = held_out_predictions.encode(task.predictor, task.training_set.rows.iloc[rows])
    predictions = held_out_predictions.predict(scorer, vectors, task.training_set, rows)
    return HeldOutPredictions(task.outcome.take(rows), predictions)


def _with_weight(parts: Parts, weights: Weights) -> Parts:
    """Only the parts that have a weight above 0 for some head."""
    used = {part for by_part in weights.values() for part, weight in by_part.items() if weight}
    return Parts(parts.trees if "trees" in used else None, parts.linear if "linear" in used else None, None)


def _calibrate(
    task: BlendTask, held_out: HeldOutPredictions, rows: Rows, weights: Weights, config: BlendConfig
) -> Calibration:
    table = task.training_set.rows.iloc[rows]
    windows = calibration_windows(task.predictor.manifest.training_origins, config.calibration.days)
    chosen = np.flatnonzero(table["as_of_date"].isin(windows))
    users = table.iloc[chosen]["user_id"].nunique()
    print(f"calibration: {len(chosen):,} rows of {users:,} held-out users in {len(windows)} windows")
    measured = held_out.take(chosen)
    prediction = blend(measured.predictions, weights)
    return fit_calibration(prediction, measured.outcome, windows, users, config.calibration.coverage)


def _report(weights: Weights, metrics: dict[str, float], cut_name: str) -> None:
    for head, parts in weights.items():
        print(f"{head}: " + ", ".join(f"{weight:.2f} {part}" for part, weight in parts.items()))
    prefixes = {str(part): f"{part}_{cut_name}_" for part in PARTS} | {"blend": f"{cut_name}_"}
    columns = {
        name: {metric.removeprefix(prefix): value for metric, value in metrics.items() if metric.startswith(prefix)}
        for name, prefix in prefixes.items()
    }
    print("\n".join(evidence_lines(columns, cut_name, width=20)))


if __name__ == "__main__":
    run_as_job(main)
