"""Compare ways of learning when few users have labels: a table of who wins, by number of labels.

    python -m model_training.few_labels --warehouse ROOT [--bundle FOLDER] [--cloze BASE] [--labels 50 100 300]

Users with labels are drawn, several times, from the newest origin whose window had closed on the cut; every way learns
from the same samples and is judged on the same users of the cut. ``--bundle`` is the folder of a bundle that learned
from other platforms alone: it scores as it is, and training starts from it as conf/recipes/few_labels.yaml says.
``--cloze`` is a base with a trained head for masked words, which is asked what a customer is worth.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from model_training.baselines.cloze import TIER_WORDS
from model_training.baselines.task import UnfitError
from model_training.data.dataset import TrainingSet, read_training_set
from model_training.evaluation.metrics import measure
from model_training.finetuning.config import TrainConfig, load_train_config
from model_training.small_samples.sample import Sample, draw_sample
from model_training.small_samples.table import SHOWN, UNFIT, comparison_lines
from model_training.small_samples.ways import Way, ways_with_bundle, ways_with_cloze, ways_without_bundle
from ulvspark.contract.arguments import add_config, add_cut, add_warehouse, command_parser
from ulvspark.contract.errors import DONE, run_as_job
from ulvspark.model.parts.predictions import Decisions


def main(argv: Sequence[str] | None = None) -> int:
    """Compare and print; raises ExpectedError for bad input."""
    args = parser().parse_args(argv)
    config = load_train_config(args.config, args.overrides)
    training_set = read_training_set(args.warehouse)
    results = []
    with TemporaryDirectory() as scratch:
        ways = _chosen_ways(args, config, training_set, Path(scratch))
        for labels in args.labels:
            for seed in range(args.samples):
                sample = draw_sample(training_set, args.cut, config.tiers, labels, args.users, seed)
                results += [{"way": name, "labels": labels, **_try(way, sample)} for name, way in ways.items()]
    print("\n".join(comparison_lines(pd.DataFrame(results, columns=["way", "labels", *SHOWN, UNFIT]))))
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = command_parser("model_training.few_labels", __doc__)
    add_warehouse(command)
    command.add_argument("--bundle", metavar="FOLDER", help="a bundle of other platforms, as fetched from its store")
    command.add_argument("--cloze", metavar="BASE", help="a base with a head for masked words")
    command.add_argument("--words", nargs="+", default=TIER_WORDS, metavar="WORD", help="for the tiers, lowest first")
    command.add_argument("--labels", type=int, nargs="+", default=[50, 100, 300], help="default: 50 100 300")
    command.add_argument("--samples", type=int, default=5, help="samples of each size (default: %(default)s)")
    command.add_argument("--users", type=int, metavar="N", help="judge on so many users of the cut (default: all)")
    add_cut(command)
    add_config(command, "conf/recipes/few_labels.yaml", meaning="the configuration of the networks")
    # A flag here, since --labels and --words would take positional arguments.
    command.add_argument("--overrides", nargs="*", default=[], metavar="a.b=value", help="changes to it")
    return command


def _chosen_ways(
    args: argparse.Namespace, config: TrainConfig, training_set: TrainingSet, scratch: Path
) -> dict[str, Way]:
    ways = ways_without_bundle(config, scratch)
    if args.bundle is not None:
        ways |= ways_with_bundle(args.bundle, config, training_set, args.cut, scratch)
    if args.cloze is not None:
        ways |= ways_with_cloze(args.cloze, args.words, config.text)
    return ways


def _try(way: Way, sample: Sample) -> dict[str, float] | dict[str, str]:
    """The measures of ``way``, or why it could not learn: among few users it may be that nobody left."""
    try:
        return _measure(way(sample), sample)
    except UnfitError as reason:
        return {UNFIT: str(reason)}


def _measure(scores: Decisions, sample: Sample) -> dict[str, float]:
    rows = sample.training_set.rows
    at_cut = replace(sample.training_set, rows=rows[rows["as_of_date"] == sample.cut])
    measures = measure(at_cut.outcome(sample.task.tiers), scores)
    return {name: measures[name] for name in SHOWN if name in measures}


if __name__ == "__main__":
    run_as_job(main)
