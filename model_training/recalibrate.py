"""Calibrate a bundle anew on the newest closed windows, where levels have drifted; nothing is retrained.

    python -m model_training.recalibrate --warehouse ROOT --models ROOT [--model champion] [a.b=value ...]

The windows of the last year are measured, so that no season is missing; calibration.days=1 takes the newest alone. In
windows that begin after everything that the bundle was trained on, all users are measured; in earlier ones only the
held-out users.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from model_training.blending import held_out_predictions
from model_training.blending.calibrate import fit_calibration
from model_training.blending.config import BlendConfig
from model_training.blending.evidence import evidence_lines, served
from model_training.blending.held_out_predictions import HeldOutPredictions
from model_training.blending.renewal import (
    calibration_windows,
    check_same_data,
    facts_of,
    held_out_share,
    renew,
    trained_until,
)
from model_training.data import dataset
from model_training.data.dataset import Rows, TrainingSet
from ulvspark.contract.arguments import add_config, add_model, add_models, add_overrides, add_warehouse, command_parser
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.bundle import Manifest
from ulvspark.model.parts.blend import blend
from ulvspark.model.predictor import Predictor

MIN_ROWS = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Recalibrate, report and publish; raises ExpectedError for bad input."""
    args = parser().parse_args(argv)
    config = load_config(BlendConfig, args.config, args.overrides)
    training_set = dataset.read_training_set(args.warehouse)

    def make(source: Path, target: Path) -> Manifest:
        return recalibrate_bundle(source, target, training_set, config)

    version = renew(args.models, args.model, make)
    print(f"published {version} in {args.models}" + (f" as {args.model}" if args.model != version else ""))
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line. An alias given as --model is moved to the new bundle."""
    command = command_parser("model_training.recalibrate", __doc__)
    add_warehouse(command)
    add_models(command)
    add_model(command)
    add_config(command, "conf/blend.yaml")
    add_overrides(command)
    return command


def recalibrate_bundle(source: Path, target: Path, training_set: TrainingSet, config: BlendConfig) -> Manifest:
    """Write into ``target`` the bundle ``source`` with a calibration of the newest windows of ``training_set``.

    Raises ExpectedError where ``training_set`` is of another kind, or too few users can be measured.
    """
    predictor = Predictor.load(source)
    manifest, scorer = predictor.manifest, predictor.scorer
    check_same_data(manifest, training_set)
    windows = calibration_windows(training_set.rows["as_of_date"], config.calibration.days)
    rows = _measurable(manifest, training_set, windows)
    users = training_set.rows.iloc[rows]["user_id"].nunique()
    vectors = held_out_predictions.encode(predictor, training_set.rows.iloc[rows])
    outcome = training_set.outcome(manifest.tiers).take(rows)
    held_out = HeldOutPredictions(outcome, held_out_predictions.predict(scorer, vectors, training_set, rows))
    prediction = blend(held_out.predictions, scorer.weights)
    calibration = fit_calibration(prediction, outcome, windows, users, config.calibration.coverage)
    before = served(held_out, scorer.weights, scorer.parts.calibration, manifest.tiers)
    after = served(held_out, scorer.weights, calibration, manifest.tiers)
    title = f"{len(rows):,} rows up to {windows[-1]}"
    print("\n".join(evidence_lines({"before": before, "after": after}, title, width=36)))
    parts = replace(scorer.parts, calibration=calibration)
    drifted = {f"before_recalibration_{name}": value for name, value in before.items()}
    facts = facts_of(manifest)
    return bundle.extend(target, source, facts.model_copy(update={"metrics": {**facts.metrics, **drifted}}), parts)


def _measurable(manifest: Manifest, training_set: TrainingSet, windows: tuple[date, ...]) -> Rows:
    """Rows of ``windows`` whose labels the bundle was not trained on."""
    dates = training_set.rows["as_of_date"].to_numpy()
    held_out_users = dataset.held_out(training_set.rows, held_out_share(manifest))
    in_windows = training_set.rows["as_of_date"].isin(windows).to_numpy()
    measurable = in_windows & (held_out_users | (dates >= trained_until(manifest)))
    if measurable.sum() < MIN_ROWS:
        raise ExpectedError(
            f"training set: {measurable.sum()} rows up to {windows[-1]} were not trained on, {MIN_ROWS} are needed;"
            " wait for a newer window to close, or rebuild the training set with a later date"
        )
    return np.flatnonzero(measurable)


if __name__ == "__main__":
    run_as_job(main)
