"""Nights in which little changed: each gives what scoring everyone from nothing gives, in both units."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from delta.tables import DeltaTable

from jobs import score_users
from tests.spark import shop
from tests.spark.pipelines.test_score_users import by_user, command_line, last_run, publish
from ulvspark.contract.spec import NetworkSpec, SequenceSpec, Unit
from ulvspark.history import behaviour
from ulvspark.model.bundle.store import open_store
from ulvspark.model.predictor import Predictor
from ulvspark.scoring import encode
from ulvspark.warehouse.changes import incremental
from ulvspark.warehouse.tables import Warehouse

TABLES = ("events", "products", "users")
PREDICTED = ("expected_value", "expected_value_median", "churn_probability", "price_sensitivity")
NETWORKS: dict[Unit, NetworkSpec] = {
    "history": NetworkSpec(unit="history", vector_size=16, hidden_size=8),
    "event": NetworkSpec(unit="event", vector_size=16, hidden_size=8, sequence=SequenceSpec(width=16, layers=1)),
}


def from_nothing(warehouse: Warehouse, predictor: Predictor, as_of: date) -> dict[str, tuple[float, ...]]:
    """Scores without Spark's part and without anything kept: words and keys of every user, read now."""
    spec = predictor.manifest.history
    built = behaviour.build(*map(warehouse.read, TABLES), as_of, spec, "Europe/London").where("history IS NOT NULL")
    rows = [row.asDict(recursive=True) for row in built.collect()]
    numbers = pd.DataFrame(rows, columns=list(spec.numbers), dtype=np.float64)
    population = behaviour.measure_population(built, spec)
    decided = predictor.decide(predictor.encode([row["history"] for row in rows]), numbers, population)
    columns = zip(*(decided[name] for name in PREDICTED), strict=True)
    return dict(zip((row["user_id"] for row in rows), columns, strict=True))


def a_review_and_a_late_event(warehouse: Warehouse) -> None:
    shop.add_events(warehouse, [shop.review("user02", "Lovely RED mug", -1), shop.purchase("user05", 20, 100)])


def a_return_and_a_deletion(warehouse: Warehouse) -> None:
    bought = list(shop.purchase("user03", 9, -1))
    shop.add_events(warehouse, [tuple("return" if value == "purchase" else value for value in bought)])
    events = DeltaTable.forPath(warehouse.spark, f"{warehouse.root}/events")
    events.delete("user_id = 'user01' AND order_id = 'user01-1'")


def a_new_title(warehouse: Warehouse) -> None:
    products = DeltaTable.forPath(warehouse.spark, f"{warehouse.root}/products")
    products.update("product_id = 'p2'", {"title": "'cheap woolly holder'", "text_hash": "0"})


NIGHTS: dict[Unit, list[list[Callable[[Warehouse], None]]]] = {
    "event": [[], [a_review_and_a_late_event], [a_return_and_a_deletion], [a_new_title]],
    "history": [[], [a_review_and_a_late_event, a_return_and_a_deletion, a_new_title]],
}
"""What happens before each night."""


@pytest.mark.parametrize(("unit", "few"), [("history", encode.BROADCAST_LIMIT), ("event", 0)])
def test_a_night_costs_what_changed_and_scores_as_from_nothing(spark, unit, few, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(encode, "BROADCAST_LIMIT", few)
    # Of a dozen users, two are more than a tenth.
    monkeypatch.setattr(incremental, "REBUILD_ABOVE", 0.5)
    models = publish(tmp_path, NETWORKS[unit], "champion")
    predictor = Predictor.load(open_store(models).fetch("champion", tmp_path / "fetched"))
    warehouse = Warehouse(spark, str(tmp_path / "warehouse"))
    shop.fill(warehouse)
    encoded, rebuilt = [], []
    for night, changes in enumerate(NIGHTS[unit]):
        for change in changes:
            change(warehouse)
        as_of = shop.AS_OF + timedelta(days=2 * night)
        assert score_users.main(command_line(tmp_path, warehouse, models, as_of)) == 0
        counts = last_run(warehouse).counts
        encoded.append(counts["histories_encoded"])
        rebuilt.append(counts.get("timelines_built"))
        scores = by_user(warehouse)
        expected = from_nothing(warehouse, predictor, as_of)
        assert expected.keys() == {user for user, row in scores.items() if row.status == "scored"}
        found = [[scores[user][name] for name in PREDICTED] for user in expected]
        np.testing.assert_allclose(found, list(expected.values()), rtol=1e-5, atol=1e-6)
    if unit == "event":
        # Without the purchase that was deleted user01 did what user00 did, who is known.
        assert encoded == [12, 2, 1, 10], "a review and a late event; a return; a title that ten users know"
        assert rebuilt == [14, 2, 2, 0], "everyone; who did something; nobody, since a title is no event"
        texts = warehouse.read("text_vectors")
        assert texts.count() == len(shop.TITLES) + 1 + 1, "each title, the review and the new title, once"
        assert texts.select("text_encoder_version").distinct().count() == 1
    else:
        assert encoded == [12, 11], "ten know the title, and user01 lives elsewhere than user00"
