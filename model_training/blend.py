"""Add to a fine-tuned bundle what is best beside its network, weigh the parts, calibrate, and publish.

    python -m model_training.blend --warehouse ROOT --models ROOT [--cut validation|test] [a.b=value ...]

Boosted trees and a linear model learn from the users that the network learned from. How much each part says is chosen
on users as of the validation cut, none of whose labels a part has seen. To choose on all of them, blend a bundle of the
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
from model_training.blending.evidence import EVIDENCE, evidence
from model_training.blending.held_out_predictions import Unseen
from model_training.blending.regression import fit_linear
from model_training.blending.renewal import calibration_windows, check_same_data, facts_of, held_out_share, renew
from model_training.blending.trees import fit_trees
from model_training.blending.weights import choose_weights, of_who_says
from model_training.data import dataset
from model_training.data.dataset import PLATFORM, Rows, Split, TrainingSet
from model_training.data.examples import take
from model_training.data.platforms import ELSEWHERE, check_amounts, read_platforms
from model_training.evaluation.metrics import Outcome
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
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.bundle import Manifest
from ulvspark.model.bundle.manifest import read_manifest
from ulvspark.model.bundle.store import open_store
from ulvspark.model.parts.blend import Weights, blend
from ulvspark.model.parts.calibration import Calibration
from ulvspark.model.parts.parts import Parts
from ulvspark.model.predictor import Predictor


@dataclass(frozen=True)
class Ground:
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
        found = read_manifest(open_store(models).fetch(model, Path(scratch)))
    if found.blend is None:
        raise ExpectedError(f"--weights-from {model}: bundle {found.version} is not blended; blend it first")
    return found.blend


def blend_bundle(
    source: Path, target: Path, training_set: TrainingSet, cut_name: str, config: BlendConfig, weights: Weights | None
) -> Manifest:
    """Write into ``target`` the bundle ``source`` with trees, linear model, weights (chosen where None), calibration.

    Raises ExpectedError where ``training_set`` is not what the bundle was trained on, or has one class only.
    """
    ground = _ground(Predictor.load(source), training_set, cut_name)
    heads, tiers = ground.predictor.manifest.network.heads, ground.predictor.manifest.tiers
    parts = _fit_parts(ground, config)
    rows = _unseen_at_home(ground)
    seen = _predict(ground, parts, rows)
    dates = ground.training_set.rows["as_of_date"].to_numpy()[rows]
    if weights is None:
        choosing = seen.take(np.flatnonzero(dates == training_set.meta.protocol.validation_cut))
        print(f"weights: chosen on {len(choosing.outcome.spend):,} users")
        weights = choose_weights(choosing.predictions, choosing.outcome, heads, config.weight_step)
    weights = of_who_says(weights, seen.predictions)
    parts = _weighing(parts, weights)
    calibration = _calibrate(ground, seen, rows, weights, config)
    metrics = evidence(seen.take(np.flatnonzero(dates == ground.cut)), weights, calibration, tiers, cut_name)
    _report(weights, metrics, cut_name)
    facts = facts_of(ground.predictor.manifest)
    changed = {"blend": weights, "metrics": {**facts.metrics, **metrics},
               "config": {**facts.config, "blend": config.model_dump(mode="json")}}  # fmt: skip
    return bundle.extend(target, source, facts.model_copy(update=changed), replace(parts, calibration=calibration))


def _ground(predictor: Predictor, training_set: TrainingSet, cut_name: str) -> Ground:
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
    _check_classes(take(outcome, split.fit))
    return Ground(predictor, visible, cut, cut_name, split, outcome)


def _check_elsewhere(manifest: Manifest, training_set: TrainingSet) -> None:
    learned = [each["run_id"] for each in manifest.config.get(ELSEWHERE, ()) if "run_id" in each]
    given = [each.meta.run_id for each in training_set.elsewhere]
    if manifest.tiers.unit == "currency":
        check_amounts(training_set)
    if learned != given:
        raise ExpectedError(
            f"bundle {manifest.version} learned from {learned or 'no platform'} elsewhere, not from {given or 'none'}; "
            "give the same --elsewhere as to model_training.finetune"
        )


def _check_classes(outcome: Outcome) -> None:
    if len(np.unique(outcome.churned)) < 2 or len(np.unique(outcome.spend > 0)) < 2:
        raise ExpectedError(
            "training set: all training users leave or all stay, or all spend or none does, so there is nothing to tell"
            " apart; change the horizon or add origins"
        )


def _fit_parts(ground: Ground, config: BlendConfig) -> Parts:
    manifest, split = ground.predictor.manifest, ground.split
    heads, n_tiers = manifest.network.heads, len(manifest.tiers.names)
    features = ground.training_set.features()
    print(f"trees and linear model: {len(split.fit):,} rows to fit, {len(split.held_out):,} held out")
    trees = fit_trees(
        features, ground.outcome, split.fit, split.held_out, heads, n_tiers, config.trees, config.seed
    )  # fmt: skip
    rfm = held_out_predictions.rfm(ground.training_set, split.fit)
    return Parts(trees, fit_linear(rfm, take(ground.outcome, split.fit), heads))


def _unseen_at_home(ground: Ground) -> Rows:
    """Weights and calibration are of the home platform; others only teach."""
    held_out = ground.split.held_out
    platform = ground.training_set.rows[PLATFORM].to_numpy()
    return np.concatenate([held_out[platform[held_out] == 0], ground.split.cut])


def _predict(ground: Ground, parts: Parts, rows: Rows) -> Unseen:
    scorer = replace(ground.predictor.scorer, parts=parts, weights={})
    vectors = held_out_predictions.encode(ground.predictor, ground.training_set.rows.iloc[rows])
    predictions = held_out_predictions.predict(scorer, vectors, ground.training_set, rows)
    return Unseen(take(ground.outcome, rows), predictions)


def _weighing(parts: Parts, weights: Weights) -> Parts:
    """Only the parts that have a say."""
    heard = {part for by_part in weights.values() for part, weight in by_part.items() if weight}
    return Parts(parts.gbm if "gbm" in heard else None, parts.linear if "linear" in heard else None, None)


def _calibrate(ground: Ground, seen: Unseen, rows: Rows, weights: Weights, config: BlendConfig) -> Calibration:
    table = ground.training_set.rows.iloc[rows]
    windows = calibration_windows(ground.predictor.manifest.training_origins, config.calibration.days)
    chosen = np.flatnonzero(table["as_of_date"].isin(windows))
    users = table.iloc[chosen]["user_id"].nunique()
    print(f"calibration: {len(chosen):,} rows of {users:,} held-out users in {len(windows)} windows")
    part = seen.take(chosen)
    prediction = blend(part.predictions, weights)
    return fit_calibration(prediction, part.outcome, windows, users, config.calibration.coverage)


def _report(weights: Weights, metrics: dict[str, float], cut_name: str) -> None:
    for head, parts in weights.items():
        print(f"{head}: " + ", ".join(f"{weight:.2f} {part}" for part, weight in parts.items()))
    prefixes = [f"{part}_" for part in ("network", "gbm", "linear")] + [""]
    print(f"{cut_name:20}" + "".join(f"{prefix.rstrip('_') or 'blend':>10}" for prefix in prefixes))
    for name in EVIDENCE:
        values = [metrics.get(f"{prefix}{cut_name}_{name}") for prefix in prefixes]
        print(f"{name:20}" + "".join(f"{'':>10}" if value is None else f"{value:10.4f}" for value in values))


if __name__ == "__main__":
    run_as_job(main)
