"""Fine-tune a base model for user value and publish the bundle.

    python -m model_training.finetune --config conf/train.yaml --warehouse ROOT --models ROOT [a.b=value ...]

First the heads are fitted to the frozen base, which gives the untuned model; then the base is tuned as the
configuration says. A run that was killed goes on from its last checkpoint when it is started again.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from transformers import TrainerCallback, set_seed

from model_training.data.platforms import read_platforms
from model_training.evaluation.metrics import Metric
from model_training.finetuning.bundling import BUNDLE, publish, save_bundle
from model_training.finetuning.config import TrainConfig, load_train_config
from model_training.finetuning.freezing import count_parameters
from model_training.finetuning.phases import check_tuning, fit_heads, tune
from model_training.finetuning.task import TrainingTask, prepare
from model_training.finetuning.training import Trained
from model_training.runs.curves import draw_curves
from model_training.runs.devices import peak_memory_gb, processes
from model_training.runs.folders import run_folder
from model_training.runs.summary import Report, read_report
from ulvspark.contract.disk import told_when_full
from ulvspark.contract.errors import DONE, run_as_job
from ulvspark.model.bundle.serving_precision import describe
from ulvspark.model.network.network import UserValueNetwork

CURVES = "curves.png"


def main(argv: Sequence[str] | None = None) -> int:
    """Train, report and publish; raises ExpectedError for bad input."""
    args = parser().parse_args(argv)
    config = load_train_config(args.config, args.overrides)
    folder = finetune(config, args.warehouse, Path(args.runs), args.cut, elsewhere=args.elsewhere)
    if args.models and processes().is_main_process:
        _say(publish(folder / BUNDLE, args.models, args.alias))
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(prog="model_training.finetune", description=(__doc__ or "").splitlines()[0])
    arguments.add_argument(
        "--config", default="conf/train.yaml", metavar="YAML", help="or one of conf/recipes (default: %(default)s)"
    )
    arguments.add_argument(
        "--warehouse", required=True, metavar="ROOT", help="where training_set is: a folder or s3://"
    )
    arguments.add_argument(
        "--elsewhere", action="append", default=[], metavar="ROOT",
        help="learn from this platform's training set too; may be given again",
    )  # fmt: skip
    arguments.add_argument(
        "--models", metavar="ROOT", help="the store to publish to, a folder or s3://; none: run only"
    )
    arguments.add_argument("--alias", default="champion", help="the alias to point at a new bundle (default: champion)")
    arguments.add_argument(
        "--cut", choices=("validation", "test"), default="validation",
        help="train on labels known by this date of the protocol, report on users as of it (default: validation)",
    )  # fmt: skip
    arguments.add_argument(
        "--runs", default="runs", metavar="DIR", help="checkpoints, logs and pictures (default: runs)"
    )
    arguments.add_argument("overrides", nargs="*", metavar="a.b=value", help="changes to the configuration")
    return arguments


def finetune(
    config: TrainConfig,
    warehouse: str,
    runs: Path,
    cut: str,
    callbacks: Sequence[TrainerCallback] = (),
    elsewhere: Sequence[str] = (),
) -> Path:
    """Run the training that ``config`` describes; returns its folder with bundle, report, curves and logs.

    ``callbacks`` watch the stage that decides. ``elsewhere`` are warehouses of other platforms to learn from; the cut,
    and what is reported on it, is that of ``warehouse``. A finished run is not repeated.
    Raises ExpectedError for bad input and where the disk is full.
    """
    started = time.perf_counter()
    training_set = read_platforms(warehouse, elsewhere, cut)
    folder = run_folder(runs, config, training_set.meta, cut, training_set.elsewhere)
    if (report := read_report(folder)) is not None:
        _say(f"{folder} holds this run, finished; remove it to train anew\n{report.table()}")
        return folder
    with told_when_full(f"training in {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        set_seed(config.seed)
        task, network = prepare(config, training_set, folder, cut)
        check_tuning(config, None if network.encoder is None else network.encoder.backbone)
        _introduce(task)
        trained, untuned = _train(task, network, callbacks)
        if processes().is_main_process:
            _conclude(task, network, trained, untuned, started)
        processes().wait_for_everyone()
    return folder


def _introduce(task: TrainingTask) -> None:
    split = task.split
    _say(
        f"{task.folder}: {len(split.fit):,} rows to fit, {len(split.held_out):,} held out, "
        f"{len(split.cut):,} on {task.cut}; {task.precision}"
    )


def _train(
    task: TrainingTask, network: UserValueNetwork, callbacks: Sequence[TrainerCallback]
) -> tuple[Trained, dict[Metric, float] | None]:
    """The stages that the configuration asks for, and the metrics of the untuned model where one was tuned."""
    if network.encoder is None or not task.config.tuning.touches_base:
        trained, _ = fit_heads(task, network, callbacks)
        return trained, None
    _, untuned = fit_heads(task, network)
    return tune(task, network, network.encoder, callbacks), untuned


def _conclude(
    task: TrainingTask, network: UserValueNetwork, trained: Trained, untuned: dict[Metric, float] | None, started: float
) -> None:
    before = None if untuned is None else {str(name): value for name, value in untuned.items()}
    _, parameters = count_parameters(network)
    draw_curves(trained.log, task.folder / CURVES, task.folder.name)
    manifest = save_bundle(task, network.cpu(), before)
    prefix = f"{task.cut_name}_"
    report = Report(
        cut=task.cut.isoformat(),
        metrics={n.removeprefix(prefix): v for n, v in manifest.metrics.items() if n.startswith(prefix)},
        untuned=before,
        trainable=trained.trainable,
        parameters=parameters,
        steps=trained.steps,
        minutes=(time.perf_counter() - started) / 60,
        peak_memory_gb=peak_memory_gb(),
        precision=task.precision,
        bundle=manifest.version,
    )
    report.write(task.folder)
    _say(report.table())
    if manifest.agreement is not None:
        _say(f"served in {manifest.precision}")
        for precision in manifest.agreement:
            _say(f"  {precision}: {describe(precision, manifest.agreement)}")


def _say(text: str) -> None:
    if processes().is_main_process:
        print(text, flush=True)


if __name__ == "__main__":
    run_as_job(main)
