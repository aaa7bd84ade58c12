"""Bring a bundle up to date where levels have drifted: calibrated to the newest closed windows, nothing retrained.

    python -m model_training.recalibrate --warehouse ROOT --models ROOT [--model champion] [a.b=value ...]

Measured are the windows of the last year, so that no season is missing; calibration.days=1 takes the newest alone. In
windows that begin after all that the bundle was trained on, everyone is measured; else only the held-out users.
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
from model_training.blending.evidence import EVIDENCE, served
from model_training.blending.held_out_predictions import Unseen
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
from model_training.data.examples import take
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
    outcome = take(training_set.outcome(manifest.tiers), rows)
    seen = Unseen(outcome, held_out_predictions.predict(scorer, vectors, training_set, rows))
    prediction = blend(seen.predictions, scorer.weights)
    calibration = fit_calibration(prediction, outcome, windows, users, config.calibration.coverage)
    before, after = (served(seen, scorer.weights, each, manifest.tiers)
                     for each in (scorer.parts.calibration, calibration))  # fmt: skip
    _report(before, after, f"{len(rows):,} rows up to {windows[-1]}")
    parts = replace(scorer.parts, calibration=calibration)
    drifted = {f"before_recalibration_{name}": value for name, value in before.items()}
    facts = facts_of(manifest)
    return bundle.extend(target, source, facts.model_copy(update={"metrics": {**facts.metrics, **drifted}}), parts)


def _report(before: dict[str, float], after: dict[str, float], where: str) -> None:
    print(f"{where:36}{'before':>10}{'after':>10}")
    for name in EVIDENCE:
        values = (found.get(name) for found in (before, after))
        print(f"{name:36}" + "".join(f"{'':>10}" if value is None else f"{value:10.4f}" for value in values))


def _measurable(manifest: Manifest, training_set: TrainingSet, windows: tuple[date, ...]) -> Rows:
    """Rows of ``windows`` of whom the bundle knows nothing that happened in them."""
    dates = training_set.rows["as_of_date"].to_numpy()
    unseen_users = dataset.held_out(training_set.rows, held_out_share(manifest))
    measured = training_set.rows["as_of_date"].isin(windows).to_numpy()
    here = measured & (unseen_users | (dates >= trained_until(manifest)))
    if here.sum() < MIN_ROWS:
        raise ExpectedError(
            f"training set: {here.sum()} rows up to {windows[-1]} were not trained on, at least {MIN_ROWS} are needed;"
            " wait for a newer window to close, or rebuild the training set with a later date"
        )
    return np.flatnonzero(here)


if __name__ == "__main__":
    run_as_job(main)
