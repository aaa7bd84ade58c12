"""Search for the best training configuration and write it as a recipe.

    python -m model_training.tune --config conf/search.yaml --warehouse ROOT --study runs/search.db --out best.yaml

Trials are judged on the users of the validation cut, never on those of the test cut. Stopped and started again, the
search goes on with the same study; another space, start, training set or version of the code makes another study in the
same file.
"""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from transformers import TrainerCallback

from model_training.finetune import finetune
from model_training.finetuning.config import TrainConfig
from model_training.searching.config import SearchConfig
from ulvspark.contract.arguments import add_config, add_overrides, add_runs, add_warehouse, command_parser
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job

if TYPE_CHECKING:
    from model_training.searching.search import Search


def main(argv: Sequence[str] | None = None) -> int:
    """Search and write the recipe; raises ExpectedError for bad input."""
    args = parser().parse_args(argv)
    if find_spec("optuna") is None:
        raise ExpectedError("a search needs the extra tune; run `pip install 'ulvspark[tune]'`")
    from model_training.searching.search import CUT, Search  # noqa: PLC0415 - optuna is an extra

    def train(config: TrainConfig, callbacks: Sequence[TrainerCallback]) -> Path:
        return finetune(config, args.warehouse, Path(args.runs), CUT, callbacks)

    config = load_config(SearchConfig, args.config, args.overrides)
    start = Path(args.config).parent / config.train
    search = Search(config, start, Path(args.study), args.warehouse, train)
    search.run()
    _write_recipe(search, config.metric, Path(args.out))
    print(_table_of_trials(search))
    print(f"the best is in {args.out}: python -m model_training.finetune --config {args.out} ...")
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = command_parser("model_training.tune", __doc__)
    add_config(command, "conf/search.yaml")
    add_warehouse(command)
    command.add_argument("--study", default="runs/search.db", metavar="FILE", help="SQLite file (default: %(default)s)")
    command.add_argument("--out", required=True, metavar="YAML", help="where the best configuration is written")
    add_runs(command)
    add_overrides(command)
    return command


def _write_recipe(search: "Search", metric: str, out: Path) -> None:
    study, best = search.study, search.study.best_trial
    heading = f"# Trial {best.number} of {len(study.trials)}: {metric} {best.value:.4f} at validation."
    body = yaml.safe_dump(search.best().model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(f"{heading}\n{body}", encoding="utf-8")


def _table_of_trials(search: "Search") -> str:
    """A line for every trial: its state, its value where it has one, and what was tried."""
    lines = ["trial  state       value"]
    for trial in search.study.trials:
        value = "" if trial.value is None else f"{trial.value:.4f}"
        params = ", ".join(f"{name}={param}" for name, param in trial.params.items())
        lines.append(f"{trial.number:>5}  {trial.state.name.lower():<9}{value:>8}  {params}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_as_job(main)
