"""A search over training configurations with Optuna: what is tried, and what is learned from each try."""

import logging
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState
from pydantic import Field, model_validator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from model_training.data.dataset import read_meta
from model_training.evaluation.metrics import METRICS, Metric
from model_training.finetune import finetune
from model_training.finetuning.config import TrainConfig, load_train_config
from model_training.runs.folders import run_content
from model_training.runs.summary import read_report
from ulvspark.contract.config import Strict
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.bundle.manifest import digest

logger = logging.getLogger(__name__)

CUT = "validation"


class Choices(Strict):
    """One of several values."""

    choices: tuple[Any, ...] = Field(min_length=2)


class Range(Strict):
    """A number between two; whole where both are whole."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _check(self) -> "Range":
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("low must be less than high, and above 0 where log: true")
        return self


class SearchConfig(Strict):
    """``conf/search.yaml``."""

    train: str
    """The configuration that the search starts from, relative to this file."""
    metric: Metric = "spearman"
    """On the users of the validation cut."""
    trials: int = Field(ge=1)
    startup_trials: int = Field(5, ge=1)
    """Drawn at random, and never stopped early."""
    seed: int = 7
    space: dict[str, Choices | Range] = Field(min_length=1)
    """By dotted path in the training configuration."""


class Search:
    """A study, kept in a SQLite file so that it goes on where it stopped.

    Another space, configuration to start from or training set makes another study in the file.
    """

    def __init__(self, config: SearchConfig, base: Path, study: Path, warehouse: str, runs: Path) -> None:
        self._config, self._base, self._warehouse, self._runs = config, base, warehouse, runs
        study.parent.mkdir(parents=True, exist_ok=True)
        greater = METRICS[config.metric].better_when_greater
        self.study = optuna.create_study(
            storage=f"sqlite:///{study}", study_name=self._name(), load_if_exists=True,
            direction="maximize" if greater else "minimize",
            sampler=optuna.samplers.TPESampler(seed=config.seed, n_startup_trials=config.startup_trials),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=config.startup_trials),
        )  # fmt: skip

    def run(self) -> None:
        """Try until ``trials`` have ended, those of earlier starts among them.

        Raises ExpectedError where not one of them gave a result.
        """
        self._take_up_killed_trials()
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
        return load_train_config(self._base, [f"{path}={value}" for path, value in params.items()])

    def _name(self) -> str:
        start = run_content(self.configuration({}), read_meta(self._warehouse), CUT)
        space = self._config.model_dump(mode="json")["space"]
        return f"{self._config.metric}-{digest({'start': start, 'space': space})[:12]}"

    def _take_up_killed_trials(self) -> None:
        """A trial that was running when the search was killed is run again; it goes on from its checkpoint."""
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)
            self.study.enqueue_trial(trial.params)

    def _try(self, trial: optuna.Trial) -> float:
        params = {path: _suggest(trial, path, values) for path, values in self._config.space.items()}
        logger.info("trial %d: %s", trial.number, params)
        watch = Pruning(trial, self._config.metric)
        folder = finetune(self.configuration(params), self._warehouse, self._runs, CUT, [watch])
        trial.set_user_attr("run", str(folder))
        report = read_report(folder)
        if report is None or self._config.metric not in report.metrics:
            raise ExpectedError(f"search: the runs do not report {self._config.metric}; choose another metric")
        return report.metrics[self._config.metric]


def _suggest(trial: optuna.Trial, path: str, values: Choices | Range) -> str | int | float:
    if isinstance(values, Choices):
        # As YAML, since a choice may be a mapping, which a study cannot hold.
        texts = [yaml.safe_dump(each, default_flow_style=True).removesuffix("...\n").strip() for each in values.choices]
        return trial.suggest_categorical(path, texts)
    if isinstance(values.low, int) and isinstance(values.high, int):
        return trial.suggest_int(path, values.low, values.high, log=values.log)
    return trial.suggest_float(path, values.low, values.high, log=values.log)


class Pruning(TrainerCallback):
    """Stops a trial that does worse on held-out users than half of the trials before it did at that point."""

    def __init__(self, trial: optuna.Trial, metric: Metric) -> None:
        self._trial, self._metric = trial, metric

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        found = kwargs["metrics"]
        assert isinstance(found, dict)  # noqa: S101 - Trainer's
        # By share of the training rather than by step, since trials differ in their batches.
        percent = round(100 * state.global_step / state.max_steps)
        self._trial.report(found[f"eval_{self._metric}"], percent)
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"at {percent} % of its training")
