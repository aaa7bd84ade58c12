import dataclasses
import json
import re
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import OptimizeResult

from model_training import evaluate
from model_training.baselines import LIGHTGBM, Tried, bgnbd, boosting
from model_training.blending.renewal import facts_of
from model_training.data.dataset import read_training_set
from model_training.evaluation import judge
from model_training.evaluation.bootstrap import bootstrap, interval
from model_training.evaluation.bundle_metrics import score_rows
from model_training.evaluation.judge import BUNDLE, Contest, compare
from model_training.evaluation.measures import MEASURES, measured
from model_training.evaluation.segments import segments
from model_training.evaluation.weighted import ones
from tests import tiny, training_set
from tests.outcomes import outcome as outcomes
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import NetworkSpec, TierSpec
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.manifest import read_manifest
from ulvspark.model.bundle.store import open_store
from ulvspark.model.parts.calibration import AmountCalibration, Calibration, ProbabilityCalibration
from ulvspark.model.parts.parts import Parts
from ulvspark.model.parts.predictions import Decisions
from ulvspark.model.predictor import Predictor

HEADINGS = (
    "In short", "Who brings the money", "Predicted and actual spend", "Value tiers", "Who leaves",
    "Price sensitivity (an association)", "Compared with the baselines", "All models", "Groups of users",
    "How this was measured", "What these figures cannot tell", "What is missing",
)  # fmt: skip


IN_MONEY = TierSpec(names=("low", "mid", "high"), bounds=(10.0, 40.0), unit="currency", means=(0.1, 1.0, 5.0))


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setitem(boosting.SETTINGS, "n_estimators", 10)
    monkeypatch.setitem(boosting.SETTINGS, "n_jobs", 1)
    monkeypatch.setitem(boosting.SETTINGS, "min_child_samples", 5)


def publish(root: Path, base: Path, origin: date = date(2020, 1, 1), **changes) -> str:
    """A random bundle of numbers alone that learned as of ``origin``; returns its store."""
    network = NetworkSpec(unit="history", vector_size=16, hidden_size=8, use_text=False)
    facts = tiny.facts(network).model_copy(
        update={"history": training_set.SPEC, "training_origins": (origin,), "horizon_days": 30, **changes}
    )
    store = open_store(str(root / "models"))
    version = store.publish(tiny.bundle_folder(root / f"bundle-{origin}", base, facts))
    store.point("champion", version, None)
    return str(root / "models")


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_bert) -> str:
    return publish(tmp_path_factory.mktemp("store"), tiny_bert)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory) -> str:
    return str(training_set.write(tmp_path_factory.mktemp("warehouse"), training_set.frame(users=120)))


def arguments(warehouse: str, models: str, out: Path) -> list[str]:
    return ["--warehouse", warehouse, "--models", models, "--cut", "validation", "--out", str(out)]


def test_one_command_writes_a_report_that_holds_everything_and_loads_nothing(warehouse, models, tmp_path, capsys):
    assert evaluate.main([*arguments(warehouse, models, tmp_path), "--also", "twin=champion"]) == 0
    printed = capsys.readouterr().out
    assert "difference to twin" in printed
    saved = json.loads((tmp_path / "evaluation.json").read_text())["comparisons"]
    assert all(each["against_others"]["twin"]["value"] == 0 for each in saved.values()), "it is the same bundle"
    assert "validation cut 2020-03-05: 120 users, window to 2020-04-04 (30 days)" in printed
    assert "learned from 2020-02-01: 120 users" in printed
    assert "association with past behaviour" in printed
    page, text = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    for heading in HEADINGS:
        assert f"<h2>{heading}</h2>" in page
        assert f"## {heading}" in text
    price = text[text.index("## Price sensitivity (an association)") : text.index("## Compared with the baselines")]
    for model in (BUNDLE, "past share below reference price", "past discount share", LIGHTGBM):
        assert f"| {model} |" in price
    assert f"Dates of the training set: {training_set.PROTOCOL}." in text
    loaded = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)|@import', page)
    assert loaded
    assert all(src.startswith(("data:image/svg+xml;base64,", "#")) for src, _ in loaded)
    assert "<script" not in page
    for chart in re.findall(r"\]\((charts/\w+\.svg)\)", text):
        assert (tmp_path / chart).read_bytes().startswith(b"<?xml")
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["models"]["twin"]["spearman"] == found["models"][BUNDLE]["spearman"]
    assert found["comparisons"]["spearman"]["against_lightgbm"]["interval"]
    assert "past discount share" not in found["missing"]
    assert found["undefined"]["Interval coverage"].startswith("the bundle has no calibration")


def test_a_cut_of_one_class_still_gives_a_report_that_says_what_is_missing(models, tmp_path):
    rows = training_set.frame(users=60)
    at_cut = rows["as_of_date"] == training_set.PROTOCOL.validation_cut
    rows.loc[at_cut, ["spend", "churned", "price_sensitivity"]] = [0.0, 1, np.nan]
    training_set.write(tmp_path / "warehouse", rows)
    evaluate.main(arguments(str(tmp_path / "warehouse"), models, tmp_path / "out"))
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert "everyone left within the window" in found["undefined"]["AUC, leaving"]
    assert "nobody spent anything" in found["undefined"]["Gini, normalised"]
    assert found["comparisons"]["mae"]["against_lightgbm"]
    assert "everyone left within the window" in (tmp_path / "out" / "report.html").read_text()


def test_a_table_without_rows_is_left_out_of_the_page(models, tmp_path):
    warehouse = training_set.write(tmp_path / "warehouse", training_set.frame(users=45))
    evaluate.main(arguments(str(warehouse), models, tmp_path / "out"))
    text = (tmp_path / "out" / "report.md").read_text()
    groups = text[text.index("## Groups of users") : text.index("## How this was measured")]
    assert "Too few users for a figure" in groups
    assert "|" not in groups


def test_a_baseline_that_does_not_converge_is_missing_from_a_report_that_comes_out(
    warehouse, models, tmp_path, capsys, monkeypatch
):
    gave_up = OptimizeResult(success=False, message="too many <b>steps")
    monkeypatch.setattr(bgnbd, "minimize", lambda *_, **__: gave_up)
    assert evaluate.main(arguments(warehouse, models, tmp_path)) == 0
    text = (tmp_path / "report.md").read_text()
    reason = "BG/NBD + Gamma-Gamma: BG/NBD does not converge on these users: too many <b>steps"
    assert f"Baseline {reason}" in text[text.index("## What is missing") :]
    assert "too many &lt;b&gt;steps" in (tmp_path / "report.html").read_text()
    assert f"missing: {reason}" in capsys.readouterr().out
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["comparisons"]["spearman"]["against_lightgbm"]["interval"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"origin": date(2020, 2, 5)}, "learned from labels as of 2020-02-05, which were not known on 2020-03-05"),
        ({"history": training_set.SPEC.model_copy(update={"recent_events": 9})}, "reads other behaviour"),
        (
            {"currency": "USD", "tiers": IN_MONEY},
            "has tier bounds in USD, the warehouse is in GBP; train with tiers by",
        ),
    ],
)
def test_a_bundle_that_cannot_be_judged_here_is_refused(change, message, warehouse, tiny_bert, tmp_path):
    models = publish(tmp_path, tiny_bert, **change)
    with pytest.raises(ExpectedError, match=message):
        evaluate.main(arguments(warehouse, models, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_bundle_of_another_platform_is_judged_whatever_its_dates(warehouse, tiny_bert, tmp_path):
    models = publish(tmp_path, tiny_bert, date(2020, 4, 1), currency="USD")
    evaluate.main(arguments(warehouse, models, tmp_path / "out"))
    assert "has seen no label of this one" in (tmp_path / "out" / "report.md").read_text()


def test_of_a_bundle_with_another_horizon_only_the_order_is_judged(warehouse, tiny_bert, tmp_path, capsys):
    models = publish(tmp_path, tiny_bert, date(2020, 4, 1), currency="USD", horizon_days=20)
    evaluate.main(arguments(warehouse, models, tmp_path / "out"))
    assert "the bundle predicts 20 days, not 30" in capsys.readouterr().out
    found = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert {"spearman", "churn_auc", "price_spearman"} <= set(found["comparisons"])
    assert not {"total_ratio", "mae", "tier_f1", "churn_brier"} & set(found["comparisons"])
    assert "the bundle predicts 20 days, not 30" in found["undefined"]["Predicted / actual total"]


def test_a_cut_without_users_is_refused(models, tmp_path):
    rows = training_set.frame(users=60)
    training_set.write(tmp_path, rows[rows["as_of_date"] != training_set.PROTOCOL.validation_cut])
    with pytest.raises(ExpectedError, match="no users as of 2020-03-05; its window must have closed by 2020-04-04"):
        evaluate.main(arguments(str(tmp_path), models, tmp_path / "out"))


def contest(strong: float, weak: float, users: int = 2000) -> Contest:
    """Two models that see spend through noise of these sizes; the first is the bundle, the second 'LightGBM'."""
    dice = np.random.default_rng(2)
    spend = np.where(dice.random(users) < 0.5, 0, dice.lognormal(0, 1, users))
    outcome = outcomes(users, spend=spend, churn=(spend == 0).astype(float), tier=spend > 1)

    def scores(noise: float) -> Decisions:
        value = np.maximum(spend + dice.normal(0, noise, users), 0)
        churn = 1 / (1 + value)
        return {
            "tier_probabilities": np.column_stack([churn, 1 - churn]),
            "expected_value": value,
            "expected_value_median": value,
            "churn_probability": churn,
        }

    rows = training_set.frame(users=1).iloc[[0] * users]
    return Contest(rows, outcome, scores(strong), {}, Tried({LIGHTGBM: scores(weak)}, {}), platform_scale=1.0)


def test_a_difference_that_is_there_is_found_and_one_that_is_not_is_not():
    _, better = compare(contest(0.3, 2.0), draws=300)
    for name in ("spearman", "gini", "churn_auc", "top20_auc", "tier_f1", "mae", "rmse", "churn_brier"):
        found = better[name].against_lightgbm
        assert found is not None
        assert found.verdict == "better", name
        assert found.interval[0] < found.value < found.interval[1]
    _, worse = compare(contest(2.0, 0.3), draws=300)
    assert worse["spearman"].against_lightgbm.verdict == "worse"
    _, equal = compare(contest(1.0, 1.0), draws=300)
    assert equal["spearman"].against_lightgbm.verdict == "equal"
    assert equal["spearman"].best_baseline == LIGHTGBM


def test_the_interval_of_a_mean_is_the_normal_one_and_pairing_narrows_differences():
    made = contest(1.0, 1.0, users=1000)
    value = made.bundle["expected_value"]
    shifted = {**made.bundle, "expected_value": value + 0.1}
    models = {name: partial(measured, made.outcome, each) for name, each in (("a", made.bundle), ("b", shifted))}
    found = bootstrap(models, 1000, draws=2000)
    low, high = interval(found["a"]["mae"])
    errors = np.abs(made.outcome.spend_in_scales - value)
    half = 1.96 * errors.std() / np.sqrt(1000)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert (low + high) / 2 == pytest.approx(errors.mean(), abs=half / 5)
    difference = interval(found["b"]["mae"] - found["a"]["mae"])
    assert difference[1] - difference[0] < (high - low) / 3


def test_a_total_that_is_too_low_and_one_as_much_too_high_are_equally_bad():
    measure = MEASURES["total_ratio"]
    np.testing.assert_allclose(measure.loss(np.array([0.8, 1.0, 1.2])), [0.2, 0.0, 0.2])
    made = contest(1.0, 1.0)
    doubled = {**made.bundle, "expected_value": 2 * made.outcome.spend_in_scales}
    assert measure.statistic(made.outcome, doubled, ones(2000))[0] == pytest.approx(2)


def test_amounts_are_compared_in_platform_scales_and_reported_in_currency():
    made = contest(1.0, 1.0)
    in_scales, in_currency = (
        compare(dataclasses.replace(made, platform_scale=scale), draws=5)[0][BUNDLE] for scale in (1.0, 20.0)
    )
    for name, figure in in_scales.items():
        factor = 20 if name in ("mae", "mae_median", "rmse") else 1
        assert in_currency[name].value == pytest.approx(factor * figure.value), name


def test_the_reported_error_is_that_of_the_served_amounts_in_currency(warehouse, models, tmp_path):
    predictor = Predictor.load(open_store(models).fetch("champion", tmp_path))
    whole = read_training_set(warehouse)
    cut = training_set.PROTOCOL.validation_cut
    population, rows = whole.populations[cut], np.flatnonzero(whole.rows["as_of_date"] == cut)
    users = whole.rows.iloc[rows]
    vectors = predictor.encode(users["history"].tolist())
    served = predictor.decide(vectors, users[list(predictor.manifest.history.numbers)], population)["expected_value"]
    found = evaluate.evaluate(whole, {BUNDLE: predictor}, "validation")
    assert population.platform_scale == 20
    assert found.models[BUNDLE]["mae"].value == pytest.approx(np.abs(users["spend"] - served).mean())
    assert sum(tier.predicted_spend for tier in found.curves.tier_table) == pytest.approx(served.sum())
    assert sum(tier.actual_spend for tier in found.curves.tier_table) == pytest.approx(users["spend"].sum())
    np.testing.assert_allclose(score_rows(predictor, whole, rows)["expected_value"] * 20, served)


def test_intervals_that_half_of_the_users_fall_into_cover_a_half():
    made = contest(1.0, 1.0)
    half = np.where(np.arange(2000) % 2, made.outcome.spend_in_scales, made.outcome.spend_in_scales + 1)
    scores = {**made.bundle, "expected_value_low": half, "expected_value_high": half + 3}
    found = measured(made.outcome, scores, ones(2000))
    assert (found["coverage"][0], found["width"][0]) == (0.5, pytest.approx(3))


def test_coverage_is_best_where_it_is_what_the_intervals_were_to_hold():
    made = contest(1.0, 1.0)
    spend, everyone = made.outcome.spend_in_scales, np.full(2000, 1e9)

    def holding(share: float) -> Decisions:
        low = np.where(np.arange(2000) < 2000 * share, 0.0, spend + 1)
        return {**made.bundle, "expected_value_low": low, "expected_value_high": everyone}

    bundles = dataclasses.replace(made, bundle=holding(0.5), others={"wide": holding(0.8)})
    for wanted, gained in ((0.5, 0.3), (0.8, -0.3)):
        _, found = compare(dataclasses.replace(bundles, coverage=wanted), draws=20)
        assert found["coverage"].against_others["wide"].value == pytest.approx(gained)


def calibrated(models: str, coverage: float, scratch: Path) -> str:
    """The champion with intervals that are to hold ``coverage``."""
    store = open_store(models)
    source = store.fetch("champion", scratch)
    spend = AmountCalibration(probability=ProbabilityCalibration(), location=0, spread=1, level=1,
                              tail=(1 - coverage) / 2, coverage=coverage)  # fmt: skip
    made = Calibration(windows=(date(2020, 1, 1),), users=9, heads={"spend": spend})
    target = scratch / f"to-hold-{coverage}"
    bundle.extend(target, source, facts_of(read_manifest(source)), Parts(calibration=made))
    return store.publish(target)


def test_intervals_that_are_to_hold_another_share_are_not_compared(warehouse, tiny_bert, tmp_path):
    models = publish(tmp_path, tiny_bert)
    half, most = (calibrated(models, coverage, tmp_path) for coverage in (0.5, 0.8))
    also = ["--model", half, "--also", f"twin={half}", f"wide={most}"]
    evaluate.main([*arguments(warehouse, models, tmp_path / "out"), *also])
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["coverage"] == 0.5
    for name in ("coverage", "width"):
        assert found["comparisons"][name]["against_others"].keys() == {"twin"}
    assert found["comparisons"]["spearman"]["against_others"].keys() == {"twin", "wide"}
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| Interval coverage → 0.5 |" in text
    assert re.search(r"within the predicted interval; the intervals were made to hold 50(\.0)? %\.", text)


def test_segments_part_the_users_and_small_ones_are_only_named():
    rows = training_set.frame(users=200)
    rows = rows[rows["as_of_date"] == training_set.PROTOCOL.dates[0]].reset_index(drop=True)
    country = ["fr"] * 20 + ["de"] * 60 + ["uk"] * 120
    rows = rows.assign(
        tenure_days=[10] * 30 + [400] * 170,
        orders=[1] * 80 + [5] * 120,
        recency_days=[1, 31, 91, 183, 500] * 40,
        history=[{"profile": [("country", each)], "events": []} for each in country],
    )
    found = segments(rows)
    for group in {group for group, _ in found}:
        assert np.sum([members for (of, _), members in found.items() if of == group], axis=0).tolist() == [1] * 200
    sizes = {name: int(members.sum()) for (_, name), members in found.items()}
    assert (sizes["one order"], sizes["183 or more days ago"], sizes["31 to 90 days ago"]) == (80, 80, 40)
    assert (sizes["uk"], sizes["de"], sizes["other or unknown"]) == (120, 60, 20)
    made = contest(1.0, 1.0, users=200)
    shown, small = judge.by_segment(dataclasses.replace(made, rows=rows), draws=20)
    assert "tenure: first seen within 91 days (30 users)" in small
    assert {each.name for each in shown} == {name for name, size in sizes.items() if size >= 50}


def test_also_needs_a_name_of_its_own(warehouse, models, tmp_path):
    for wrong in ("champion", "=champion", f"{LIGHTGBM}=champion"):
        with pytest.raises(ExpectedError, match="NAME=MODEL"):
            evaluate.main([*arguments(warehouse, models, tmp_path), "--also", wrong])
