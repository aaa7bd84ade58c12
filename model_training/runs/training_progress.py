"""The progress of one phase of training, as Trainer reports it."""

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from model_training.runs.progress import Progress


class TrainingProgress(TrainerCallback):
    """Shows the steps of a phase with its loss and the held-out ``metric``.

    It replaces Trainer's own bars, which print every log and every evaluation.
    """

    def __init__(self, phase: str, metric: str) -> None:
        self._phase, self._metric = phase, metric
        self._progress: Progress | None = None
        self._figures: dict[str, str] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._progress = Progress(self._phase, state.max_steps, "step", done=state.global_step, keep=True)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self._progress is not None:
            self._progress.update()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        logs = state.log_history[-1] if state.log_history else {}
        for key, name in (("loss", "loss"), (f"eval_{self._metric}", f"held-out {self._metric}")):
            if key in logs:
                self._figures[name] = f"{logs[key]:.4g}"
        if self._progress is not None:
            self._progress.show_figures(self._figures)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self._progress is not None:
            self._progress.close()
