"""Fine-tune a base model for user value and publish the bundle.

    python -m model_training.finetune --config conf/train.yaml --warehouse ROOT --models ROOT [a.b=value ...]

The heads phase fits the heads to the frozen base, which gives the untuned model; the tuning phase then trains the base
where the configuration says so. A run that was killed goes on from its last checkpoint when it is started again.
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
from model_training.finetuning.training import PhaseResult
from model_training.runs.curves import draw_curves
from model_training.runs.devices import peak_memory_gb, processes
from model_training.runs.folders import run_folder
from model_training.runs.summary import Report, read_report
from ulvspark.contract.arguments import (
    add_config,
    add_cut,
    add_elsewhere,
    add_models,
    add_overrides,
    add_runs,
    add_warehouse,
    command_parser,
)
from ulvspark.contract.errors import DONE, run_as_job
from ulvspark.contract.storage.disk import full_disk_as_expected_error
from ulvspark.model.bundle.manifest import Manifest
from ulvspark.model.bundle.serving_precision import describe
from ulvspark.model.network.network import UserValueNetwork

CURVES = "curves.png"


def main(argv: Sequence[str] | None = None) -> int:
    """Train, report and publish; raises ExpectedError for bad input."""
    args = parser().parse_args(argv)
    config = load_train_config(args.config, args.overrides)
    folder = finetune(config, args.warehouse, Path(args.runs), args.cut, elsewhere=args.elsewhere)
    if args.models and processes().is_main_process:
        _print(publish(folder / BUNDLE, args.models, args.alias))
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line, which jobs/finetune_on_spark.py reads as well."""
    command = command_parser("model_training.finetune", __doc__)
    add_config(command, "conf/train.yaml", meaning="the configuration, this one or one of conf/recipes")
    add_warehouse(command)
    add_elsewhere(command)
    add_models(command, required=False)
    command.add_argument(
        "--alias", default="champion", help="the alias to point at a published bundle (default: %(default)s)"
    )
    add_cut(command)
    add_runs(command)
    add_overrides(command)
    return command


def finetune(
    config: TrainConfig,
    warehouse: str,
    runs: Path,
    cut: str,
    callbacks: Sequence[TrainerCallback] = (),
    elsewhere: Sequence[str] = (),
) -> Path:
    """Run the training that ``config`` describes; returns its folder with bundle, report, curves and logs.

    ``callbacks`` watch the last phase. ``elsewhere`` are warehouses of other platforms to learn from; the cut, and the
    users that are reported on, are those of ``warehouse``. A run that this code has finished is not repeated.
    Raises ExpectedError for bad input and where the disk is full.
    """
    started = time.perf_counter()
    training_set = read_platforms(warehouse, elsewhere, cut)
    folder = run_folder(runs, config, training_set.meta, cut, training_set.elsewhere)
    if (report := read_report(folder)) is not None:
        _print(f"{folder} holds this run, finished; remove it to train anew\n{report.table()}")
        return folder
    with full_disk_as_expected_error(f"training in {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        set_seed(config.seed)
        task, network = prepare(config, training_set, folder, cut)
        check_tuning(config, None if network.encoder is None else network.encoder.backbone)
        _print_task(task)
        result, untuned = _train(task, network, callbacks)
        if processes().is_main_process:
            _finish(task, network, result, untuned, started)
        processes().wait_for_everyone()
    return folder


def _train(
    task: TrainingTask, network: UserValueNetwork, callbacks: Sequence[TrainerCallback]
) -> tuple[PhaseResult, dict[Metric, float] | None]:
    """The last phase that the configuration asks for, and the metrics of the untuned model where the base was tuned."""
    if network.encoder is None or not task.config.tuning.touches_base:
        result, _ = fit_heads(task, network, callbacks)
        return result, None
    _, untuned = fit_heads(task, network)
    return tune(task, network, network.encoder, callbacks), untuned


def _finish(
    task: TrainingTask,
    network: UserValueNetwork,
    result: PhaseResult,
    untuned: dict[Metric, float] | None,
    started: float,
) -> None:
    """Save the bundle, the curves and, last of all, the report, which says that the run is finished."""
    _, parameters = count_parameters(network)
    draw_curves(result.log, task.folder / CURVES, task.folder.name)
    before = None if untuned is None else {str(name): value for name, value in untuned.items()}
    manifest = save_bundle(task, network.cpu(), before)
    prefix = f"{task.cut_name}_"
    report = Report(
        cut=task.cut.isoformat(),
        metrics={n.removeprefix(prefix): v for n, v in manifest.metrics.items() if n.startswith(prefix)},
        untuned=before,
        trainable=result.trainable,
        parameters=parameters,
        steps=result.steps,
        minutes=(time.perf_counter() - started) / 60,
        peak_memory_gb=peak_memory_gb(),
        precision=task.precision,
        bundle=manifest.version,
    )
    report.write(task.folder)
    _print(report.table())
    _print_precisions(manifest)


def _print_task(task: TrainingTask) -> None:
    split = task.split
    _print(
        f"{task.folder}: {len(split.fit):,} rows to fit, {len(split.held_out):,} held out, "
        f"{len(split.cut):,} on {task.cut}; {task.precision}"
    )


def _print_precisions(manifest: Manifest) -> None:
    """The serving precision and how each one compares with fp32, where that was measured."""
    if manifest.precision_evidence is not None:
        _print(f"served in {manifest.precision}")
        for precision in manifest.precision_evidence:
            _print(f"  {precision}: {describe(precision, manifest.precision_evidence)}")


def _print(text: str) -> None:
    """Once, however many processes train together."""
    if processes().is_main_process:
        print(text, flush=True)


if __name__ == "__main__":
    run_as_job(main)
