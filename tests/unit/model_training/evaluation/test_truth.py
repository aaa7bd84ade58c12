"""Scores beside the truth of a made-up simulation, in which it is known who recovers what."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake

from model_training import evaluate
from model_training.baselines import Tried, boosting
from model_training.evaluation.judge import BUNDLE, Contest
from model_training.evaluation.truth import RATES, RECENCY, TRUTH, oracle, read_truth, recover
from model_training.report.writing import truth_lines
from tests import training_set
from tests.outcomes import outcome
from tests.unit.model_training.test_evaluate import arguments, publish
from ulvspark.contract.errors import ExpectedError

AS_OF, HORIZON = date(2020, 3, 5), 100
BLIND = "past share"


def made_truth(users: int = 3000) -> pd.DataFrame:
    dice = np.random.default_rng(3)
    visits, power = dice.lognormal(-3, 0.8, users), dice.lognormal(0, 0.6, users)
    hazard = 0.003 * dice.lognormal(0, 0.8, users)
    stays = dice.exponential(1 / hazard) - 100
    return pd.DataFrame({
        "user_id": [f"user-{number}" for number in range(users)], "visits_per_day": visits, "churn_hazard": hazard,
        "price_elasticity": dice.lognormal(1, 0.6, users), "latent_value": visits * power,
        "left_on": [AS_OF + timedelta(days=int(min(each, 9999))) for each in stays],
    })  # fmt: skip


def write_truth(root: Path, truth: pd.DataFrame) -> None:
    """As the simulator writes it: rates are lists, of which the second one is that of AS_OF."""
    lists = {name: [[-1.0, value] for value in truth[name]] for name in RATES}
    written = truth.assign(**lists, periods_from=AS_OF - timedelta(days=30), period_days=28)
    write_deltalake(root / "truth" / "truth_users", written)


def contest(truth: pd.DataFrame) -> Contest:
    """The bundle sees elasticity through noise and value exactly; the baseline guesses."""
    dice, n = np.random.default_rng(4), len(truth)
    best = oracle(truth, AS_OF, HORIZON)
    spend = dice.poisson(best["expected_value"]) * dice.lognormal(0, 0.5, n)
    noisy = np.log(best["price_sensitivity"]) + dice.normal(0, 0.6, n)
    label = np.where(spend > 0, (np.log(best["price_sensitivity"]) + dice.normal(0, 1, n) > 1).astype(float), np.nan)
    happened = outcome(n, spend=spend, churn=(spend == 0).astype(float), tier=spend > 1, price_sensitivity=label)
    bundle = {
        "expected_value": truth["latent_value"].to_numpy(),
        "churn_probability": best["churn_probability"],
        "price_sensitivity": noisy,
    }
    blind = {"price_sensitivity": dice.random(n)}
    rows = pd.DataFrame({"user_id": truth["user_id"], "recency_days": 1 / truth["visits_per_day"]})
    return Contest(rows, happened, bundle, {}, Tried({BLIND: blind}, {}), platform_scale=1.0)


def test_what_is_recovered_and_what_chance_decides_are_told_apart():
    truth = made_truth()
    found = recover(contest(truth), truth, AS_OF, HORIZON, draws=100)
    recovered = {each.title: each for each in found.recovered}
    assert recovered["latent value"].models[BUNDLE].value == pytest.approx(1)
    elasticity = recovered["price elasticity"]
    assert 0.6 < elasticity.models[BUNDLE].value < 0.75
    assert elasticity.best_baseline == BLIND
    assert elasticity.against_best.verdict == "better"
    assert recovered["churn hazard"].best_baseline == RECENCY
    ceilings = {each.title: each for each in found.ceilings}
    value = ceilings["Spearman, everyone"].models
    # The bundle does not know who left, so even its perfect order of latent values stays below the truth's.
    assert value[BUNDLE].value + 0.02 < value[TRUTH].value < 0.95
    assert ceilings["AUC, leaving"].models[BUNDLE].value == pytest.approx(ceilings["AUC, leaving"].models[TRUTH].value)
    lines = "\n".join(truth_lines(found))
    assert "rank correlation with the truth" in lines
    assert BLIND in lines


def test_the_oracle_knows_who_left_and_who_stays_longer():
    truth = made_truth(3).assign(
        visits_per_day=[0.1, 0.1, 0.1], latent_value=[1.0, 1.0, 1.0], churn_hazard=[0.001, 0.05, 0.001],
        left_on=[AS_OF, AS_OF, AS_OF - timedelta(days=1)],
    )  # fmt: skip
    best = oracle(truth, AS_OF, HORIZON)
    np.testing.assert_allclose(best["expected_value"], [95.16, 19.87, 0.0], atol=0.01)
    assert best["churn_probability"].argsort().tolist() == [0, 1, 2]
    assert best["churn_probability"][2] == 1


def test_the_report_holds_the_truth_only_where_it_is_given(tiny_bert, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(boosting.SETTINGS, "n_estimators", 5)
    warehouse = str(training_set.write(tmp_path / "warehouse"))
    models = publish(tmp_path, tiny_bert)
    write_truth(tmp_path / "sim", made_truth(80))
    evaluate.main([*arguments(warehouse, models, tmp_path / "out"), "--truth", str(tmp_path / "sim")])
    assert "order of what happened" in capsys.readouterr().out
    page = (tmp_path / "out/report.md").read_text()
    section = page[page.index("## Compared with the simulator's truth") : page.index("## How this was measured")]
    assert "price elasticity" in section
    assert "association" in section
    found = json.loads((tmp_path / "out/evaluation.json").read_text())["truth"]
    assert found["recovered"][0]["models"][BUNDLE]["interval"]
    evaluate.main(arguments(warehouse, models, tmp_path / "plain"))
    assert "simulator" not in (tmp_path / "plain/report.md").read_text()


def test_the_truth_is_that_of_the_date(tmp_path):
    truth = made_truth(5)
    write_truth(tmp_path, truth)
    rows = training_set.frame(users=8).head(5)
    read = read_truth(str(tmp_path), rows, AS_OF)
    np.testing.assert_allclose(read[list(RATES)], truth.set_index("user_id").loc[rows["user_id"], list(RATES)])
    with pytest.raises(ExpectedError, match="nothing was simulated on 2020-05-04; give the simulation of the ware"):
        read_truth(str(tmp_path), rows, AS_OF + timedelta(days=60))


def test_the_truth_of_others_is_refused(tmp_path):
    write_truth(tmp_path, made_truth(5))
    rows = training_set.frame(users=8).head(8)
    with pytest.raises(ExpectedError, match="3 of 8 users have no truth"):
        read_truth(str(tmp_path), rows, AS_OF)
    with pytest.raises(ExpectedError, match=r"no Delta table truth_users .*; run jobs/simulate.py"):
        read_truth(str(tmp_path / "elsewhere"), rows, AS_OF)
