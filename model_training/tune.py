"""Search for the best training configuration and write it as a recipe.

    python -m model_training.tune --config conf/search.yaml --warehouse ROOT --study runs/search.db --out best.yaml

Trials are judged on the users of the validation cut, never on the test cut. Stopped and started again, the search goes
on with the same study; another space, start or training set makes another one in the same file.
"""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ulvspark.contract.config import load_config
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job

if TYPE_CHECKING:
    from model_training.finetuning.searching import Search


def main(argv: Sequence[str] | None = None) -> int:
    """Search and write the recipe; raises ExpectedError for bad input."""
    args = _parser().parse_args(argv)
    if find_spec("optuna") is None:
        raise ExpectedError("a search needs the extra tune; run `pip install 'ulvspark[tune]'`")
    from model_training.finetuning.searching import Search, SearchConfig  # noqa: PLC0415 - optuna is an extra

    config = load_config(SearchConfig, args.config, args.overrides)
    base = Path(args.config).parent / config.train
    search = Search(config, base, Path(args.study), args.warehouse, Path(args.runs))
    search.run()
    _write(search, config.metric, Path(args.out))
    print(_table(search))
    print(f"the best is in {args.out}: python -m model_training.finetune --config {args.out} ...")
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="model_training.tune", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default="conf/search.yaml", metavar="YAML", help="default: %(default)s")
    parser.add_argument("--warehouse", required=True, metavar="ROOT", help="where training_set is: a folder or s3://")
    parser.add_argument("--study", default="runs/search.db", metavar="FILE", help="SQLite file (default: %(default)s)")
    parser.add_argument("--out", required=True, metavar="YAML", help="where the best configuration is written")
    parser.add_argument("--runs", default="runs", metavar="DIR", help="folders of the trials' runs (default: runs)")
    parser.add_argument("overrides", nargs="*", metavar="a.b=value", help="changes to the search's configuration")
    return parser


def _write(search: "Search", metric: str, out: Path) -> None:
    study, best = search.study, search.study.best_trial
    head = f"# Trial {best.number} of {len(study.trials)}: {metric} {best.value:.4f} at validation."
    body = yaml.safe_dump(search.best().model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(f"{head}\n{body}", encoding="utf-8")


def _table(search: "Search") -> str:
    """Every trial with its state and, where it has one, its value."""
    lines = ["trial  state       value"]
    for trial in search.study.trials:
        value = "" if trial.value is None else f"{trial.value:.4f}"
        params = ", ".join(f"{name}={each}" for name, each in trial.params.items())
        lines.append(f"{trial.number:>5}  {trial.state.name.lower():<9}{value:>8}  {params}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_as_job(main)
