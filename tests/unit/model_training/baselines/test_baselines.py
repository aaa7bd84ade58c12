import dataclasses
import importlib.util
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model_training.baselines import BASELINES, bgnbd, boosting, run
from model_training.baselines.bgnbd import Purchases
from model_training.baselines.task import UnfitError, decisions, make_task
from model_training.data.dataset import TrainingSet, read_training_set
from tests import training_set
from ulvspark.contract.spec import TierSpec

TIERS = TierSpec(names=("low", "mid", "high"), bounds=(0.5, 2.0), unit="platform_scale", means=(0.1, 1.0, 5.0))
CUT = training_set.PROTOCOL.validation_cut


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> TrainingSet:
    root = tmp_path_factory.mktemp("warehouse")
    return read_training_set(str(training_set.write(root, _plausible(training_set.frame(users=300)))))


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setitem(boosting.SETTINGS, "n_estimators", 10)
    monkeypatch.setitem(boosting.SETTINGS, "n_jobs", 1)


def _plausible(rows: pd.DataFrame) -> pd.DataFrame:
    """Orders, ages and gaps that agree with one another."""
    dice = np.random.default_rng(1)
    days = 1 + dice.poisson(rows["net_spend"] / 20)
    recency = dice.integers(1, 60, len(rows))
    gap = dice.integers(5, 40, len(rows))
    return rows.assign(
        orders=days,
        recency_days=recency,
        tenure_days=recency + gap * (days - 1),
        gap_mean_days=np.where(days > 1, gap, np.nan),
        order_value=rows["net_spend"] / days,
        discount_share=np.nan,
    )


def with_labels(made: TrainingSet, shuffled: "pd.Series[bool]") -> TrainingSet:
    """The labels of the rows ``shuffled`` dealt out anew among them."""
    rows = made.rows.copy()
    labels = ["spend", "churned", "price_sensitivity", "orders_in_horizon"]
    order = np.random.default_rng(5).permutation(int(shuffled.sum()))
    rows.loc[shuffled, labels] = rows.loc[shuffled, labels].to_numpy()[order]
    return dataclasses.replace(made, rows=rows)


def predictions(made: TrainingSet) -> dict[str, np.ndarray]:
    """All that each baseline predicts, in one array."""
    tried = run(make_task(made, CUT, TIERS), BASELINES)
    return {name: np.column_stack(list(scores.values())) for name, scores in tried.scores.items()}


def test_labels_that_close_after_the_cut_change_nothing_and_earlier_ones_do(made):
    closed = made.rows["as_of_date"].isin(made.meta.protocol.origins_closed_by(CUT))
    found = predictions(made)
    assert set(BASELINES) - set(found) == {"past discount share"}
    later = predictions(with_labels(made, ~closed))
    earlier = predictions(with_labels(made, closed))
    for name, each in found.items():
        np.testing.assert_array_equal(each, later[name], err_msg=name)
        assert np.isfinite(each).all(), name
        if "past share" not in name:
            assert not np.array_equal(each, earlier[name]), name


def test_what_a_baseline_is_given_of_the_cut_has_no_labels(made):
    task = make_task(made, CUT, TIERS)
    assert not {"spend", "churned", "price_sensitivity", "orders_in_horizon"} & set(task.target.rows)
    assert set(task.target.rows["as_of_date"]) == {CUT}
    assert set(task.train.rows["as_of_date"]) == {date(2020, 1, 1), date(2020, 2, 1)}


def test_a_baseline_that_fails_says_why_and_stops_no_other(made):
    def unfit(task):
        raise UnfitError("too little to go by")

    def broken(task):
        raise ValueError("Input contains NaN")

    def fine(task):
        return decisions(value=np.ones(len(task.target.rows)))

    tried = run(make_task(made, CUT, TIERS), {"a": unfit, "b": broken, "c": fine})
    assert tried.missing == {"a": "too little to go by", "b": "ValueError: Input contains NaN"}
    assert list(tried.scores) == ["c"]


def test_training_rows_of_one_class_are_said_so(made):
    everyone_left = dataclasses.replace(made, rows=made.rows.assign(churned=1, spend=0.0, price_sensitivity=np.nan))
    tried = run(make_task(everyone_left, CUT, TIERS), BASELINES)
    assert "past share below reference price" in tried.scores
    assert all("churned = 1" in tried.missing[name] for name in list(BASELINES)[:6])


def test_the_inputs_of_bgnbd_come_back_from_the_numbers(made):
    """Purchases on days 0, 10 and 40, seen on day 50; and a single one on day 30."""
    rows = made.rows.iloc[:2].assign(
        recency_days=[10, 20], tenure_days=[50, 20], gap_mean_days=[20, np.nan], orders=[4, 1], order_value=[30, 12]
    )
    found = bgnbd.purchases(dataclasses.replace(made, rows=rows))
    np.testing.assert_allclose(found.x, [2, 0])
    np.testing.assert_allclose(found.t_x * 7, [40, 0])
    np.testing.assert_allclose(found.t * 7, [50, 20])
    np.testing.assert_allclose(found.m, [40, 12])


def simulate(users: int, weeks_ahead: float) -> tuple[Purchases, np.ndarray]:
    """Users of a BG/NBD with r .5, alpha 5, a 1, b 3, and their purchases in the weeks after."""
    dice = np.random.default_rng(11)
    rate, dropout = dice.gamma(0.5, 1 / 5, users), dice.beta(1, 3, users)
    age = dice.uniform(20, 60, users)
    known, last, ahead = np.zeros(users), np.zeros(users), np.zeros(users)
    for user in range(users):
        clock = 0.0
        while True:
            clock += dice.exponential(1 / rate[user])
            if clock > age[user] + weeks_ahead:
                break
            if clock <= age[user]:
                known[user], last[user] = known[user] + 1, clock
            else:
                ahead[user] += 1
            if dice.random() < dropout[user]:
                break
    return Purchases(known, last, age, np.ones(users), known + 1), ahead


def test_bgnbd_finds_the_parameters_and_foresees_a_simulated_platform():
    data, ahead = simulate(8000, weeks_ahead=26)
    model = bgnbd.fit_bgnbd(data)
    assert model.r == pytest.approx(0.5, rel=0.15)
    assert model.alpha == pytest.approx(5, rel=0.2)
    assert model.a / (model.a + model.b) == pytest.approx(0.25, rel=0.2)
    expected = bgnbd.expected_purchases(model, data, 26)
    assert expected.sum() == pytest.approx(ahead.sum(), rel=0.05)
    none = bgnbd.no_purchase(model, data, 26)
    for part in np.array_split(np.argsort(none), 5):
        assert none[part].mean() == pytest.approx((ahead[part] == 0).mean(), abs=0.03)


def test_bgnbd_and_gamma_gamma_give_the_published_parameters_of_cdnow():
    found = importlib.util.find_spec("lifetimes")
    assert found is not None
    assert found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "datasets"
    summary = pd.read_csv(folder / "cdnow_customers_summary_with_transactions.csv")
    x, t_x, t, m = (summary[name].to_numpy(float) for name in ("x", "t_x", "T", "zbar"))
    data = Purchases(x, t_x, t, m, x)
    model, spending = bgnbd.fit_bgnbd(data), bgnbd.fit_gamma_gamma(data)
    # Fader, Hardie and Lee (2005), table 2; Fader and Hardie (2013), section 4.
    np.testing.assert_allclose([model.r, model.alpha, model.a, model.b], [0.243, 4.414, 0.793, 2.426], rtol=0.005)
    np.testing.assert_allclose([spending.p, spending.q, spending.v], [6.25, 3.74, 15.44], rtol=0.01)
    # The customer of the paper's spreadsheet: x = 2, t_x = 30.43, T = 38.86.
    one = Purchases(*(np.array([each]) for each in (2, 30.43, 38.86, 0, 2)))
    assert bgnbd.expected_purchases(model, one, 39)[0] == pytest.approx(1.226, abs=0.003)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_fit_that_does_not_converge_is_said_so():
    ones = np.ones(20)
    with pytest.raises(UnfitError, match="does not converge"):
        bgnbd.fit_gamma_gamma(Purchases(ones, ones, 2 * ones, np.array([np.inf, *ones[1:]]), 2 * ones))
    with pytest.raises(UnfitError, match="nobody bought on two days"):
        bgnbd.fit_bgnbd(Purchases(0 * ones, 0 * ones, ones, ones, ones))
