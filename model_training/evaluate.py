"""Evaluate a saved bundle beside baselines, and write a report of it.

    python -m model_training.evaluate --warehouse ROOT --models ROOT --model champion --cut test --out FOLDER

The bundle is read from the store and scored through the predictor that serves. Baselines are fitted on labels that were
known on the cut. ``--out`` gets report.html, report.md, the charts, and evaluation.json with every figure. ``--truth``
puts the scores of simulated users beside what the simulator knows of them.
"""

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from model_training.baselines import BASELINES, run
from model_training.baselines.task import make_task
from model_training.data.dataset import TrainingSet, cut_date, read_training_set
from model_training.evaluation.bundle_metrics import score_rows
from model_training.evaluation.curves import draw
from model_training.evaluation.judge import BUNDLE, Contest, by_segment, compare, undefined
from model_training.evaluation.measures import LEVELS, MEASURES
from model_training.evaluation.protocol import check_fits, describe
from model_training.evaluation.results import Evaluation
from model_training.evaluation.truth import read_truth, recover
from model_training.report.evidence import other_horizon
from model_training.report.writing import lines, protocol_lines, write_report
from ulvspark.contract.arguments import add_cut, add_model, add_models, add_warehouse, command_parser
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.model.bundle.manifest import check_currency
from ulvspark.model.bundle.store import open_store
from ulvspark.model.parts.predictions import Decisions
from ulvspark.model.predictor import Predictor

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate and report; raises ExpectedError for bad input."""
    args = parser().parse_args(argv)
    training_set = read_training_set(args.warehouse)
    with TemporaryDirectory() as scratch:
        wanted = {BUNDLE: args.model, **_named(args.also)}
        store = open_store(args.models)
        predictors = {name: Predictor.load(store.fetch(model, Path(scratch))) for name, model in wanted.items()}
        evaluation = evaluate(training_set, predictors, args.cut, args.truth)
    write_report(evaluation, Path(args.out))
    print("\n".join(lines(evaluation)))
    print(f"report: {Path(args.out) / 'report.html'}")
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = command_parser("model_training.evaluate", __doc__)
    add_warehouse(command)
    add_models(command)
    add_model(command)
    command.add_argument(
        "--also", nargs="*", default=[], metavar="NAME=MODEL", help="more bundles to compare, under names of your own"
    )
    add_cut(command, default="test")
    command.add_argument("--truth", metavar="ROOT", help="where jobs/simulate.py wrote: compare with its truth")
    command.add_argument("--out", required=True, metavar="FOLDER", help="where the report is written")
    return command


def _named(also: Sequence[str]) -> dict[str, str]:
    models: dict[str, str] = {}
    for argument in also:
        name, equals, model = argument.partition("=")
        if not (name and equals and model) or name in (BUNDLE, *BASELINES):
            raise ExpectedError(f"--also {argument}: write it as NAME=MODEL, with a name that no other model has")
        models[name] = model
    return models


@dataclass
class Clock:
    """Seconds of each step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 1)
        logger.info("%s: %.1f s", name, self.seconds[name])


def evaluate(
    training_set: TrainingSet, predictors: dict[str, Predictor], cut_name: str, truth_root: str | None = None
) -> Evaluation:
    """Every figure of the bundle under ``BUNDLE`` in ``predictors``, beside the other bundles and the baselines.

    Raises ExpectedError where the cut has no rows, a bundle learned from labels that were not known on it, the tiers
    have bounds in another currency, or the truth below ``truth_root`` is of other users.
    """
    manifest = predictors[BUNDLE].manifest
    check_currency(manifest, training_set.meta.currency)
    cut = cut_date(training_set.meta.protocol, cut_name)
    for predictor in predictors.values():
        check_fits(predictor, training_set, cut)
    at_cut = training_set.rows[training_set.rows["as_of_date"] == cut]
    truth = None if truth_root is None else read_truth(truth_root, at_cut, cut)
    protocol = describe(training_set, cut_name, manifest)
    print("\n".join(protocol_lines(protocol)))
    clock = Clock()
    contest = _score(training_set, predictors, cut, clock)
    with clock.step("bootstrap"):
        figures, comparisons = compare(contest)
    unfit = LEVELS if protocol.bundle_horizon_days != protocol.horizon_days else ()
    with clock.step("segments"):
        segments, small = by_segment(contest)
    with clock.step("truth"):
        known = None if truth is None else recover(contest, truth, cut, protocol.horizon_days)
    return Evaluation(
        bundle=manifest.version,
        heads=manifest.network.heads,
        coverage=contest.coverage,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        protocol=protocol,
        models=figures,
        baselines=tuple(BASELINES),
        missing=contest.tried.missing,
        undefined=undefined(contest) | {MEASURES[name].title: other_horizon(protocol) for name in unfit},
        comparisons={name: each for name, each in comparisons.items() if name not in unfit},
        segments=segments,
        small_segments=small,
        curves=draw(contest.outcome, contest.bundle, contest.models, manifest.tiers.names, contest.platform_scale),
        truth=known,
        seconds=clock.seconds,
    )


def _score(training_set: TrainingSet, predictors: dict[str, Predictor], cut: date, clock: Clock) -> Contest:
    """What each model predicts of the users of ``cut``, and what they did."""
    at_cut = np.flatnonzero(training_set.rows["as_of_date"].to_numpy() == cut)
    tiers = predictors[BUNDLE].manifest.tiers
    coverage = _coverage(predictors[BUNDLE])
    scores: dict[str, Decisions] = {}
    for name, predictor in predictors.items():
        with clock.step(f"score {name}"):
            predictor.self_test()
            scores[name] = score_rows(predictor, training_set, at_cut)
        if predictor.manifest.tiers != tiers:
            # Tiers of other bounds cannot be compared.
            scores[name] = _without(scores[name], "tier_probabilities")
        if _coverage(predictor) != coverage:
            # Nor can intervals that are to hold another share of users.
            scores[name] = _without(scores[name], "expected_value_low", "expected_value_high")
    with clock.step("baselines"):
        tried = run(make_task(training_set, cut, tiers), BASELINES)
    return Contest(
        rows=training_set.rows.iloc[at_cut],
        outcome=training_set.outcome(tiers).take(at_cut),
        bundle=scores.pop(BUNDLE),
        others=scores,
        tried=tried,
        platform_scale=training_set.populations[cut].platform_scale,
        coverage=coverage,
    )


def _without(scores: Decisions, *columns: str) -> Decisions:
    return {name: values for name, values in scores.items() if name not in columns}


def _coverage(predictor: Predictor) -> float | None:
    """The share of users that intervals were fitted to hold; None where there are none."""
    calibration = predictor.scorer.parts.calibration
    return None if calibration is None else calibration.coverage("spend")


if __name__ == "__main__":
    run_as_job(main)
