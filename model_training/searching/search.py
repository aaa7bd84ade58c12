"""A search over training configurations with Optuna: every trial trains a model and learns how good it is."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from model_training.data.dataset import read_meta
from model_training.evaluation.metrics import METRICS, Metric
from model_training.finetuning.config import TrainConfig, load_train_config
from model_training.runs.folders import run_content
from model_training.runs.summary import read_report
from model_training.searching.config import Choices, Range, SearchConfig
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.bundle.checksums import digest

logger = logging.getLogger(__name__)

CUT = "validation"
"""Trials are judged on the users of this cut; those of the test cut stay unseen until the choice is made."""

Train = Callable[[TrainConfig, Sequence[TrainerCallback]], Path]
"""Trains for ``CUT``, watched by callbacks, and returns the folder of the run."""


class Search:
    """Tries configurations and remembers the results in a SQLite file, so that it goes on where it stopped.

    The file holds a study for each combination of metric, space, configuration to start from, training set and version
    of the code.
    """

    def __init__(self, config: SearchConfig, start: Path, study: Path, warehouse: str, train: Train) -> None:
        self._config, self._start, self._train = config, start, train
        study.parent.mkdir(parents=True, exist_ok=True)
        better_when_greater = METRICS[config.metric].better_when_greater
        self.study = optuna.create_study(
            storage=f"sqlite:///{study}",
            study_name=self._study_name(warehouse),
            load_if_exists=True,
            direction="maximize" if better_when_greater else "minimize",
            sampler=optuna.samplers.TPESampler(seed=config.seed, n_startup_trials=config.startup_trials),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=config.startup_trials),
        )

    def run(self) -> None:
        """Try until ``trials`` have ended, those of earlier starts included.

        Raises ExpectedError where not one of them gave a result.
        """
        self._repeat_killed_trials()
        ended = self.study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
        left = max(0, self._config.trials - len(ended))
        logger.info("%d trials have ended, %d are left", len(ended), left)
        self.study.optimize(self._try, n_trials=left, catch=(ExpectedError,))
        if not self.study.get_trials(states=(TrialState.COMPLETE,)):
            raise ExpectedError(f"search: none of {len(self.study.trials)} trials gave a result; see the log above")

    def best(self) -> TrainConfig:
        """The configuration of the best trial."""
        return self.configuration(self.study.best_trial.params)

    def configuration(self, params: dict[str, Any]) -> TrainConfig:
        """The training configuration with the values of a trial."""
        return load_train_config(self._start, [f"{path}={value}" for path, value in params.items()])

    def _study_name(self, warehouse: str) -> str:
        start = run_content(self.configuration({}), read_meta(warehouse), CUT)
        space = self._config.model_dump(mode="json")["space"]
        return f"{self._config.metric}-{digest({'start': start, 'space': space})[:12]}"

    def _repeat_killed_trials(self) -> None:
        """Try again what ran when the search was killed; the training goes on from its checkpoint."""
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)
            self.study.enqueue_trial(trial.params)

    def _try(self, trial: optuna.Trial) -> float:
        """Train with the values of ``trial``; returns the metric."""
        params = {path: _suggest(trial, path, values) for path, values in self._config.space.items()}
        logger.info("trial %d: %s", trial.number, params)
        folder = self._train(self.configuration(params), [Pruning(trial, self._config.metric)])
        trial.set_user_attr("run", str(folder))
        report = read_report(folder)
        if report is None or self._config.metric not in report.metrics:
            raise ExpectedError(f"search: the runs do not report {self._config.metric}; choose another metric")
        return report.metrics[self._config.metric]


def _suggest(trial: optuna.Trial, path: str, values: Choices | Range) -> str | int | float:
    if isinstance(values, Choices):
        # As YAML, since a choice may be a mapping, which a study cannot hold.
        texts = [_one_line_yaml(choice) for choice in values.choices]
        return trial.suggest_categorical(path, texts)
    if isinstance(values.low, int) and isinstance(values.high, int):
        return trial.suggest_int(path, values.low, values.high, log=values.log)
    return trial.suggest_float(path, values.low, values.high, log=values.log)


def _one_line_yaml(value: Any) -> str:  # noqa: ANN401 - YAML holds anything
    text: str = yaml.safe_dump(value, default_flow_style=True)
    return text.removesuffix("...\n").strip()


class Pruning(TrainerCallback):
    """Stops a trial that does worse on held-out users than half of the earlier trials did at the same point."""

    def __init__(self, trial: optuna.Trial, metric: Metric) -> None:
        self._trial, self._metric = trial, metric

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401 - as Trainer calls it
    ) -> None:
        metrics: dict[str, float] = kwargs["metrics"]
        # By share of the training rather than by step, since trials differ in their batches.
        percent = round(100 * state.global_step / state.max_steps)
        self._trial.report(metrics[f"eval_{self._metric}"], percent)
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"at {percent} % of its training")
