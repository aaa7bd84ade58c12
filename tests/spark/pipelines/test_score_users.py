"""The scoring job from warehouse and bundle to published scores, with a real tiny BERT."""

import json
import os
import shutil
import sys
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from delta.tables import DeltaTable

from jobs import score_users, show_scores
from tests import tiny
from tests.spark import shop
from ulvspark.contract import schema
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import ExpectedError, RefusedError, run_as_job
from ulvspark.contract.spec import NetworkSpec, TierSpec
from ulvspark.history import behaviour
from ulvspark.history.population import Population
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.store import open_store
from ulvspark.model.predictor import Predictor
from ulvspark.pipelines.score_users import ScoreConfig
from ulvspark.scoring import workers
from ulvspark.warehouse.tables import Warehouse

ROOT = Path(__file__).parents[3]
ANY_CHANGE = dict.fromkeys(("users", "expected_value"), 1e9) | {"scored_share": 1, "tier_share": 1}
ANY_NIGHT = {"change": ANY_CHANGE, "change_of_model": ANY_CHANGE, "max_event_age_days": 10_000}
ANY_SHARES = {"min_scored_share": 0, "min_tier_share": 0, "max_tier_share": 1}
WEEK = timedelta(days=7)
PUBLISHED = ("ulv_scores", "ulv_scores_history")


def publish(folder: Path, network: NetworkSpec, alias: str, **changes) -> str:
    """Put a tiny bundle of random weights into the store under ``folder``."""
    about = tiny.facts(network).model_copy(update=changes)
    base = tiny.bert_folder(folder / "base")
    bundle.save(folder / "new", tiny.network(about, base), tiny.tokenizer() if network.use_text else None, about)
    store = open_store(str(folder / "store"))
    store.point(alias, store.publish(folder / "new"), expected=None)
    return str(folder / "store")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> str:
    return publish(
        tmp_path_factory.mktemp("models"), NetworkSpec(unit="history", vector_size=16, hidden_size=8), "champion"
    )


def command_line(
    folder: Path, warehouse: Warehouse, models: str, as_of: date = shop.AS_OF, gates: dict | None = None, **limits
) -> list[str]:
    """The job's arguments with the shipped configuration, but any shares and changes pass unless told otherwise."""
    config = load_config(ScoreConfig, ROOT / "conf/score.yaml").model_dump()
    path = folder / "score.yaml"
    path.write_text(json.dumps(config | {"verification": ANY_SHARES | limits, "gates": ANY_NIGHT | (gates or {})}))
    options = {
        "as-of": as_of, "warehouse": warehouse.root, "models": models, "model": "champion", "config": path,
        "tiers": ROOT / "conf/tiers.yaml",
    }  # fmt: skip
    return [f"--{name}={value}" for name, value in options.items()]


@pytest.fixture
def arguments(tmp_path):
    return partial(command_line, tmp_path)


@pytest.fixture(scope="module")
def first_night(spark, models, tmp_path_factory) -> Warehouse:
    """A warehouse scored once."""
    folder = tmp_path_factory.mktemp("night")
    warehouse = Warehouse(spark, str(folder / "warehouse"))
    shop.fill(warehouse)
    assert score_users.main(command_line(folder, warehouse, models)) == 0
    return warehouse


@pytest.fixture
def night(first_night, tmp_path) -> Warehouse:
    """A copy of that warehouse, to go on from."""
    return Warehouse(first_night.spark, str(shutil.copytree(first_night.root, tmp_path / "warehouse")))


def by_user(warehouse, name="ulv_scores"):
    rows = warehouse.read(name).collect()
    assert len({row.user_id for row in rows}) == len(rows)
    return {row.user_id: row for row in rows}


def last_run(warehouse):
    return max(warehouse.read("ulv_runs").collect(), key=lambda row: row.started_at)


def test_tables_that_others_changed_are_named_before_a_night_begins(night, models, arguments):
    """Told in one sentence, instead of a stack trace at the end of the night or a column that is gone after it."""
    history = night.read("ulv_scores_history")
    texts = history.withColumns({name: history[name].cast("string") for name in ("churn_probability", "horizon_days")})
    night.overwrite(texts, "ulv_scores_history", ("as_of_date",))
    night.spark.sql(f"ALTER TABLE {night.identifier('ulv_scores')} ADD COLUMN note STRING")
    night.spark.sql(f"ALTER TABLE {night.identifier('events')} ADD COLUMN note STRING")
    before = {name: night.version(name) for name in ("populations", "timelines", "ulv_scores") if night.exists(name)}
    with pytest.raises(ExpectedError) as caught:
        score_users.main(arguments(night, models))
    for part in (
        "table ulv_scores_history, column churn_probability is STRING instead of DOUBLE",
        "table ulv_scores_history, column horizon_days is STRING instead of INT",
        "table ulv_scores, column note is not one of ulvspark's",
    ):
        assert part in str(caught.value)
    assert "table events" not in str(caught.value), "a night only reads it"
    assert {name: night.version(name) for name in before} == before


def test_spark_scores_equal_plain_python_scores_row_by_row(first_night, models, tmp_path):
    predictor = Predictor.load(open_store(models).fetch("champion", tmp_path))
    tables = [first_night.read(name) for name in ("events", "products", "users")]
    spec = predictor.manifest.history
    rows = behaviour.build(*tables, shop.AS_OF, spec, "Europe/London").where("history IS NOT NULL").orderBy("user_id")
    users, numbers = [row.asDict(recursive=True) for row in rows.collect()], rows.select(*spec.numbers).toPandas()
    population = Population.from_row(first_night.read("populations").collect()[0].asDict())
    expected = predictor.decide(predictor.encode([user["history"] for user in users]), numbers, population)

    scores = by_user(first_night)
    found = [scores[user["user_id"]] for user in users]
    assert len(found) == len(shop.SHOPPERS)
    names = predictor.manifest.tiers.names
    probabilities = [[row.tier_probabilities[name] for name in names] for row in found]
    np.testing.assert_allclose(probabilities, expected["tier_probabilities"], rtol=1e-5, atol=1e-6)
    for name in ("expected_value", "expected_value_median", "churn_probability", "price_sensitivity"):
        np.testing.assert_allclose([row[name] for row in found], expected[name], rtol=1e-5, atol=1e-6)
    assert [row.raw_tier for row in found] == [names[i] for i in expected["tier_probabilities"].argmax(axis=1)]
    assert len({row.expected_value for row in found}) == len(found)


def test_everybody_gets_a_row_and_strangers_a_status(first_night):
    scores = by_user(first_night)
    assert scores.keys() == {*shop.SHOPPERS, *shop.STRANGERS}
    assert first_night.read("ulv_scores").dtypes == first_night.spark.createDataFrame([], schema.SCORES.ddl).dtypes
    shopper = scores["user00"]
    assert (shopper.status, shopper.currency, shopper.as_of_date) == ("scored", "GBP", shop.AS_OF)
    assert shopper.ulv_tier == shopper.raw_tier
    assert shopper.expected_orders is None, "the bundle has no head orders"
    filled = {"user_id", *schema.SCORES.required}
    for stranger in shop.STRANGERS:
        assert scores[stranger].status == "no_history"
        assert {name for name, value in scores[stranger].asDict().items() if value is not None} == filled

    run = last_run(first_night)
    assert (run.status, run.model_version) == ("done", shopper.model_version)
    assert run.counts == {
        "users": 14,
        "scored": 12,
        "no_history": 2,
        "inexact_sums": 0,
        "histories_encoded": 12,
        "histories_reused": 0,
        "stale_encoders_removed": 0,
        "unused_vectors_removed": 0,
        "abandoned_tables_dropped": 0,
    }
    assert not any("stability" in name for name in run.metrics), "there is no date before"
    assert run.metrics["tokens_per_second"] > run.metrics["histories_per_second"] > 0
    assert 0 < run.metrics["peak_memory_gb"] < 1000
    assert run.versions_read.keys() >= {"events", "products", "users"}
    assert run.versions_written.keys() == {"populations", "user_vectors", "ulv_scores_history", "ulv_scores"}
    assert list(Path(first_night.root).glob("staging*")) == []
    (published,) = first_night.read("ulv_published").collect()
    assert (published.as_of_date, published.step, published.run_id) == (shop.AS_OF, "score_users", run.run_id)
    assert published.versions == {name: run.versions_written[name] for name in ("ulv_scores_history", "ulv_scores")}


def test_dates_build_on_the_one_before_and_a_rerun_repairs(night, models, arguments, capsys):
    first = by_user(night)
    shop.add_events(night, [shop.purchase("user03", 9, days_before=-3)])
    assert score_users.main(arguments(night, models, shop.AS_OF + WEEK)) == 0
    second = by_user(night)
    kept = sum(second[user].ulv_tier == first[user].ulv_tier for user in shop.SHOPPERS)
    assert last_run(night).metrics["tier_stability"] == pytest.approx(kept / len(shop.SHOPPERS))
    moved = {name: number for name, number in last_run(night).counts.items() if name.startswith("tier_")}
    assert sum(moved.values()) == len(shop.SHOPPERS)
    show_scores.main(
        [f"--as-of={shop.AS_OF + WEEK}", f"--warehouse={night.root}", f"--models={models}", "--examples=0"]
    )
    shown = capsys.readouterr().out
    assert f"Users by their tier as of {shop.AS_OF} (down) and as of {shop.AS_OF + WEEK} (across)" in shown
    assert f"tier stability: {kept / len(shop.SHOPPERS):.1%}" in shown
    assert last_run(night).counts["histories_encoded"] == 1, "only user03 did something"
    assert {row.as_of_date for row in second.values()} == {shop.AS_OF + WEEK}
    assert {user: row.previous_tier for user, row in second.items()} == {
        user: row.ulv_tier for user, row in first.items()
    }

    assert score_users.main(arguments(night, models, shop.AS_OF - WEEK)) == 0
    assert by_user(night) == second, "a backfill stays in history"

    stopped_between = night.read("ulv_scores_history").where(f"as_of_date = DATE '{shop.AS_OF}'")
    night.overwrite(stopped_between, "ulv_scores")
    assert score_users.main(arguments(night, models, shop.AS_OF + WEEK)) == 0
    assert (last_run(night).counts["histories_encoded"], last_run(night).counts["histories_reused"]) == (0, 12)
    again = by_user(night)
    assert {user: row.expected_value for user, row in again.items()} == pytest.approx(
        {user: row.expected_value for user, row in second.items()}
    )
    assert {user: row.previous_tier for user, row in again.items()} == {
        user: row.previous_tier for user, row in second.items()
    }
    of_that_date = night.read("ulv_scores_history").where(f"as_of_date = DATE '{shop.AS_OF + WEEK}'").collect()
    assert {row.user_id: row for row in of_that_date} == again, "one copy"
    history = night.read("ulv_scores_history").groupBy("as_of_date").count().collect()
    assert dict(map(tuple, history)) == {shop.AS_OF + offset: 14 for offset in (-WEEK, 0 * WEEK, WEEK)}


def test_a_date_to_come_is_refused(first_night, models, arguments):
    runs = first_night.version("ulv_runs")
    with pytest.raises(ExpectedError, match=r"2199-01-01 is in the future, today is .* in Europe/London"):
        score_users.main(arguments(first_night, models, date(2199, 1, 1)))
    assert first_night.version("ulv_runs") == runs


def test_a_missing_model_is_one_sentence(night, arguments, tmp_path):
    with pytest.raises(ExpectedError, match="no alias 'champion'; publish a bundle"):
        score_users.main(arguments(night, str(tmp_path / "no models")))
    assert last_run(night).reason.endswith("point the alias at it first")


def test_refused_scores_change_nothing_that_is_published(night, models, arguments, monkeypatch, capsys):
    versions = [night.version(name) for name in PUBLISHED]
    monkeypatch.setattr(sys, "argv", ["score_users", *arguments(night, models, max_tier_share=0.01)])
    with pytest.raises(SystemExit) as stopped:
        run_as_job(score_users.main)
    assert stopped.value.code == RefusedError.exit_code == 1
    assert [night.version(name) for name in PUBLISHED] == versions
    run = last_run(night)
    assert run.status == "refused"
    assert "allowed are 0 to 0.01" in run.reason
    assert run.reason in capsys.readouterr().err


def test_gates_refuse_what_is_not_like_the_night_before_until_it_is_accepted(night, models, arguments, monkeypatch):
    """And never what verification refuses. What fails after publishing is a warning."""
    strict = {"change": ANY_CHANGE | {"users": 0.1}, "max_event_age_days": 3}
    as_of = shop.AS_OF + WEEK
    events = DeltaTable.forPath(night.spark, f"{night.root}/events")
    events.delete("user_id > 'user05'")
    DeltaTable.forPath(night.spark, f"{night.root}/users").delete("user_id > 'user05'")
    versions = [night.version(name) for name in PUBLISHED]
    said = (
        r"users: 8 after 14 on 2020-03-01, allowed is a change of 10%; the newest event before 2020-03-08 is of "
        r"2020-02-\d\d, \d+ days old, allowed 3 \(if this is right, publish it once with --accept-change\)"
    )
    with pytest.raises(RefusedError, match=said):
        score_users.main(arguments(night, models, as_of, strict))
    with pytest.raises(RefusedError, match=r"tier_share_\w+ is .*; users: 8 after 14"):
        score_users.main([*arguments(night, models, as_of, strict, max_tier_share=0.01), "--accept-change"])
    assert [night.version(name) for name in PUBLISHED] == versions
    assert (last_run(night).status, last_run(night).exit_code) == ("refused", 1)

    def fail(*_):
        raise ValueError("jane@example.com")

    monkeypatch.setattr("ulvspark.pipelines.night_vectors.remove_stale_encoders", fail)
    assert score_users.main([*arguments(night, models, as_of, strict), "--accept-change"]) == 0
    run = last_run(night)
    assert (run.status, run.exit_code, len(by_user(night))) == ("done", 0, 8)
    assert [warning.partition(":")[0] for warning in run.warnings] == [
        "accepted by --accept-change", "accepted by --accept-change",
        "the caches of vectors were not cleared of what is not used (ValueError)",
    ]  # fmt: skip


def test_a_corrupted_bundle_is_not_scored_with(night, models, arguments, monkeypatch, tmp_path, capsys):
    damaged = shutil.copytree(models, tmp_path / "damaged")
    (weights,) = damaged.glob("versions/*/heads.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    monkeypatch.setattr(sys, "argv", ["score_users", *arguments(night, str(damaged))])
    with pytest.raises(SystemExit) as stopped:
        run_as_job(score_users.main)
    assert stopped.value.code == ExpectedError.exit_code == 2
    assert "heads.safetensors" in capsys.readouterr().err
    assert last_run(night).status == "failed"


def test_tier_bounds_in_another_currency_are_an_error(night, arguments, tmp_path):
    tiers = TierSpec(names=("low", "high"), bounds=(100.0,), unit="currency", means=(0.1, 5.0))
    spec = NetworkSpec(hidden_size=8, use_text=False)
    models = publish(tmp_path / "models", spec, "champion", tiers=tiers, currency="USD")
    with pytest.raises(ExpectedError, match="tier bounds in USD, the warehouse is in GBP"):
        score_users.main(arguments(night, models))


def test_a_bundle_without_text_and_tier_head_gives_tiers_by_value(night, arguments, tmp_path):
    spec = NetworkSpec(unit="history", hidden_size=8, use_text=False, heads=("spend", "orders"))
    models = publish(tmp_path / "models", spec, "champion")
    assert score_users.main(arguments(night, models)) == 0
    assert last_run(night).counts["timelines_built"] == 14, "it reads timelines instead of shuffling all words"
    scale = night.read("populations").where(f"run_id = '{last_run(night).run_id}'").collect()[0].platform_scale
    for user in shop.SHOPPERS:
        row = by_user(night)[user]
        in_scales = row.expected_value / scale
        assert row.ulv_tier == ("low" if in_scales < 0.5 else "mid" if in_scales < 2 else "high")
        assert (row.tier_probabilities, row.churn_probability, row.price_sensitivity) == (None, None, None)
        assert row.expected_orders > 0


def test_quotas_give_each_tier_its_share_of_the_scored_users(night, models, arguments, tmp_path):
    (tmp_path / "tiers.yaml").write_text("hysteresis_margin: 0\nquotas: {high: 0.25, mid: 0.25}")
    with_quotas = [*arguments(night, models), f"--tiers={tmp_path / 'tiers.yaml'}"]
    assert score_users.main(with_quotas) == 0
    scored = sorted((by_user(night)[user] for user in shop.SHOPPERS), key=lambda row: row.expected_value)
    assert [row.ulv_tier for row in scored] == ["low"] * 6 + ["mid"] * 3 + ["high"] * 3
    assert list(Path(night.root).glob("staging*")) == []


def test_a_rule_for_other_tiers_ends_before_anybody_is_scored(night, models, arguments, tmp_path):
    (tmp_path / "tiers.yaml").write_text("hysteresis_margin: 0\nquotas: {gold: 0.1}")
    tables = ("populations", "user_vectors", "ulv_scores", "ulv_scores_history")
    versions = [night.version(name) for name in tables]
    with pytest.raises(ExpectedError, match=r"the quotas are of the tiers gold; bundle .* has low, mid, high"):
        score_users.main([*arguments(night, models), f"--tiers={tmp_path / 'tiers.yaml'}"])
    assert [night.version(name) for name in tables] == versions
    assert last_run(night).status == "failed"


def test_scores_are_shown_with_what_became_of_the_users(night, models, capsys):
    options = [f"--as-of={shop.AS_OF}", f"--warehouse={night.root}", f"--models={models}", "--model=champion"]
    shown = {}
    for future_known in (False, True):
        assert show_scores.main([*options, "--examples=2"]) == 0
        shown[future_known] = capsys.readouterr().out
        shop.add_events(night, [shop.purchase("user11", 1, days_before=-89)])

    table = {line.split()[0]: line.split()[1:] for line in shown[True].splitlines() if line.startswith(("all", "no"))}
    everyone = sum(row.expected_value or 0 for row in by_user(night).values())
    assert "actual" not in shown[False]
    assert "Users by their tier" not in shown[False], "there is no date before"
    # comes-later buys for 6 and user11 for 32; the other twelve of fourteen leave.
    assert table["all"] == ["14", "100.0%", f"{everyone / 14:,.2f}", f"{everyone:,.2f}", "2.71", "38.00", "85.7%"]
    assert table["no"][1:3] == ["2", "14.3%"]
    examples = [line for line in shown[True].splitlines() if line.startswith("user ")]
    assert len(examples) == 2
    assert "bought cheap red mug x2; 1 week earlier:" in shown[True]
    with pytest.raises(ExpectedError, match="no scores of 2020-03-08; run score_users"):
        show_scores.main([f"--as-of={shop.AS_OF + WEEK}", *options[1:]])


def _loads(batches, name):
    for batch in batches:
        workers.predictor(name)
        yield batch.assign(worker=os.getpid(), loads=workers._predictor.cache_info().misses)


def test_a_worker_loads_the_model_once_for_all_its_tasks(spark, models, tmp_path):
    folder = open_store(models).fetch("champion", tmp_path)
    name = workers.ship_bundle(spark.sparkContext, folder, f"once-{date.today()}")
    tasks = spark.range(0, 64, numPartitions=16)
    rows = tasks.mapInPandas(lambda batches: _loads(batches, name), "id LONG, worker LONG, loads LONG").collect()
    assert len(rows) == 64
    # A worker may have kept the model of an earlier test; this test's is the only one it loads now.
    loads = {}
    for row in rows:
        loads.setdefault(row.worker, set()).add(row.loads)
    assert all(len(seen) == 1 for seen in loads.values())
    assert len(loads) < 16
