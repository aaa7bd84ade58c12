import shutil

import optuna
import pytest
import yaml
from deltalake import DeltaTable
from optuna.trial import TrialState

from model_training import tune
from model_training.finetuning.config import load_train_config
from model_training.searching.config import SearchConfig
from model_training.searching.search import Pruning, Search
from tests import training_set
from tests.training_set import small
from ulvspark.contract.config import load_config, validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import TRAINING_SET_META


@pytest.fixture
def search_yaml(tmp_path, tiny_bert):
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(small(tiny_bert).model_dump(mode="json")))
    (tmp_path / "search.yaml").write_text(
        "train: train.yaml\nmetric: spearman\ntrials: 2\nstartup_trials: 1\nspace:\n"
        "  tuning.freeze: {choices: [head, {top: 1}]}\n"
        "  heads.learning_rate: {low: 0.005, high: 0.05, log: true}\n"
        "  heads.epochs: {low: 1, high: 2}\n"
    )
    return tmp_path / "search.yaml"


def test_a_search_goes_on_where_it_stopped_and_ends_in_a_recipe(tmp_path, training_warehouse, search_yaml, capsys):
    arguments = ["--config", str(search_yaml), "--warehouse", training_warehouse, "--study", str(tmp_path / "s.db")]
    arguments += ["--out", str(tmp_path / "best.yaml"), "--runs", str(tmp_path / "runs")]
    assert tune.main([*arguments, "trials=1"]) == 0
    (name,) = optuna.get_all_study_names(f"sqlite:///{tmp_path}/s.db")
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path}/s.db")
    first = study.trials[0].params
    # As if it had been killed in the middle of a second trial.
    study.ask({name: each for name, each in study.trials[0].distributions.items()})
    assert tune.main([*arguments, "trials=2"]) == 0
    states = [trial.state for trial in study.get_trials()]
    assert states[:2] == [TrialState.COMPLETE, TrialState.FAIL]
    assert sum(state in (TrialState.COMPLETE, TrialState.PRUNED) for state in states) == 2
    assert study.trials[0].params == first
    best = load_train_config(tmp_path / "best.yaml")
    assert best.heads.learning_rate == study.best_trial.params["heads.learning_rate"]
    assert (tmp_path / "best.yaml").read_text().startswith(f"# Trial {study.best_trial.number} of 3: spearman ")
    assert "the best is in" in capsys.readouterr().out


def no_training(config, callbacks):
    raise AssertionError("these tests train nothing")


class Evaluation:
    """What Trainer hands to callbacks."""

    def __init__(self, step):
        self.global_step, self.max_steps = step, 10


def test_a_hopeless_trial_is_stopped_early():
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1))
    good, bad = study.ask(), study.ask()
    for step in (5, 10):
        Pruning(good, "spearman").on_evaluate(None, Evaluation(step), None, metrics={"eval_spearman": 0.8})
    study.tell(good, 0.8)
    with pytest.raises(optuna.TrialPruned, match="50 %"):
        Pruning(bad, "spearman").on_evaluate(None, Evaluation(5), None, metrics={"eval_spearman": 0.1})


def test_another_space_start_or_training_set_is_another_study(tmp_path, training_warehouse, search_yaml, tiny_bert):
    def study(warehouse, *overrides):
        config = load_config(SearchConfig, search_yaml, overrides)
        base = search_yaml.parent / "train.yaml"
        return Search(config, base, tmp_path / "s.db", warehouse, no_training).study.study_name

    other = training_set.META.model_copy(update={"run_id": "run-2"})
    shutil.copytree(f"{training_warehouse}/training_set", tmp_path / "later/training_set")
    properties = {TRAINING_SET_META: other.model_dump_json()}
    DeltaTable(tmp_path / "later/training_set").alter.set_table_properties(properties, raise_if_not_exists=False)
    names = [study(training_warehouse), study(str(tmp_path / "later"))]
    names.append(study(training_warehouse, "space.seed={choices: [1, 2]}"))
    assert study(training_warehouse, "trials=9") == names[0]
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(small(tiny_bert, "seed=8").model_dump(mode="json")))
    names.append(study(training_warehouse))
    assert len(set(names)) == 4


def test_choices_may_be_mappings(tmp_path, training_warehouse, search_yaml):
    config = load_config(SearchConfig, search_yaml)
    search = Search(config, search_yaml.parent / "train.yaml", tmp_path / "s.db", training_warehouse, no_training)
    assert search.configuration({"tuning.freeze": "{top: 1}"}).tuning.freeze.top == 1
    assert search.configuration({"tuning.freeze": "head"}).tuning.freeze == "head"


def test_mistakes_in_a_search_are_named(tmp_path, training_warehouse, search_yaml):
    content = {"train": "x", "trials": 1, "space": {"seed": {"low": 3, "high": 1}}}
    with pytest.raises(ExpectedError, match=r"space\.seed"):
        validate(SearchConfig, content, "search.yaml")
    config = load_config(SearchConfig, search_yaml, ["trials=1", "space.no_such_key={choices: [1, 2]}"])
    search = Search(config, search_yaml.parent / "train.yaml", tmp_path / "s.db", training_warehouse, no_training)
    with pytest.raises(ExpectedError, match="none of 1 trials"):
        search.run()
