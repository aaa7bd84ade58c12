"""One bar a stage: how far it is, the loss, and the held-out metric."""

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class Progress(TrainerCallback):
    """Trainer's own bars print every log and every evaluation; this one line replaces them."""

    def __init__(self, stage: str, metric: str) -> None:
        self._stage, self._metric = stage, metric
        self._bar: tqdm | None = None
        self._shown: dict[str, str] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._bar = tqdm(total=state.max_steps, initial=state.global_step, desc=self._stage, unit="step")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self._bar is not None:
            self._bar.update(1)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        logs = state.log_history[-1] if state.log_history else {}
        for key, name in (("loss", "loss"), (f"eval_{self._metric}", f"held-out {self._metric}")):
            if key in logs:
                self._shown[name] = f"{logs[key]:.4g}"
        if self._bar is not None:
            self._bar.set_postfix(self._shown)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self._bar is not None:
            self._bar.close()
