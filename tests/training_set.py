"""A made-up training set as a plain Delta table, in which both texts and numbers tell who will spend."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from model_training.finetuning.config import TrainConfig, load_train_config
from ulvspark.contract.protocol import Protocol
from ulvspark.contract.source.source import TRAINING_SET_META, TrainingSetMeta
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.numbers import NUMBERS_VERSION
from ulvspark.history.population import QUANTILE_PROBABILITIES, Population

SPEC = HistorySpec(windows_days=(30,), recent_events=8)
PROTOCOL = Protocol(
    horizon_days=30,
    training_origins=(date(2020, 1, 1), date(2020, 2, 1)),
    validation_cut=date(2020, 3, 5),
    test_cut=date(2020, 4, 10),
)
META = TrainingSetMeta(
    run_id="run-1", history_spec=SPEC, numbers=SPEC.numbers, numbers_version=NUMBERS_VERSION, protocol=PROTOCOL,
    currency="GBP", time_zone="Europe/London", data_versions={"events": 3, "products": 1, "users": 1},
)  # fmt: skip

EVENT = pa.struct(
    [
        ("event_type", pa.string()), ("order_id", pa.string()), ("gap_days", pa.int32()), ("quantity", pa.float64()),
        ("price_relation", pa.string()), ("price_level", pa.string()), ("title", pa.string()),
        ("category", pa.string()), ("brand", pa.string()), ("text", pa.string()),
        ("product_key", pa.int64()), ("text_key", pa.int64()),
    ]
)  # fmt: skip
HISTORY = pa.struct([("profile", pa.map_(pa.string(), pa.string())), ("events", pa.list_(EVENT))])


def frame(users: int = 60, seed: int = 0) -> pd.DataFrame:
    """Rows at every date of the protocol. A user's taste is red mugs if dear, woolly holders if not."""
    dice = np.random.default_rng(seed)
    worth = dice.random(users)
    rows = [_row(dice, number, worth[number], as_of) for as_of in PROTOCOL.dates for number in range(users)]
    return pd.DataFrame(rows)


def _row(dice: np.random.Generator, number: int, worth: float, as_of: date) -> dict:
    spends = dice.random() < 0.3 + 0.7 * worth
    history = _history(dice, worth)
    numbers = {name: float(dice.random()) for name in SPEC.numbers} | {"net_spend": 100 * worth, "search_events": None}
    return {
        "user_id": f"user-{number}", "as_of_date": as_of, "history": history,
        "history_hash": f"{as_of}-{number}" if as_of != PROTOCOL.dates[1] else f"{PROTOCOL.dates[0]}-{number}",
        **numbers, "spend": 100 * worth * dice.lognormal(0, 0.3) if spends else 0.0, "churned": int(not spends),
        "price_sensitivity": float(dice.random()) if spends else None, "run_id": META.run_id,
        "orders_in_horizon": int(spends) * (1 + round(6 * worth)),
    }  # fmt: skip


KEYS = {"red mug": 11, "woolly holder": 7}


def _history(dice: np.random.Generator, worth: float) -> dict:
    title = "red mug" if worth > 0.5 else "woolly holder"
    events = [
        {
            "event_type": "purchase", "order_id": str(place), "gap_days": int(dice.integers(1, 40)), "quantity": 1.0,
            "price_relation": "at", "price_level": "dear" if worth > 0.5 else "cheap", "title": title,
            "category": None, "brand": None, "text": None, "product_key": KEYS[title], "text_key": None,
        }
        for place in range(int(dice.integers(1, 4)))
    ]  # fmt: skip
    return {"profile": [("country", "uk")], "events": events}


def write(root: Path, rows: pd.DataFrame | None = None) -> Path:
    """``training_set`` and ``populations`` below ``root``; what is NaN in ``rows`` is null there."""
    rows = frame() if rows is None else rows
    write_table(root, to_arrow(rows))
    populations = [_population(as_of).to_row(META.run_id) for as_of in PROTOCOL.dates]
    stale = [_population(PROTOCOL.dates[0]).to_row("run-0")]
    columns = {name: [row[name] for row in populations + stale] for name in populations[0]}
    quantiles = pa.array(
        [list(each.items()) for each in columns.pop("quantiles")], pa.map_(pa.string(), pa.list_(pa.float64()))
    )
    write_deltalake(root / "populations", pa.table({**columns, "quantiles": quantiles}))
    return root


def write_table(root: Path, table: pa.Table) -> None:
    """``training_set`` alone, which says how it was made."""
    write_deltalake(root / "training_set", table, mode="overwrite")
    properties = {TRAINING_SET_META: META.model_dump_json()}
    DeltaTable(root / "training_set").alter.set_table_properties(properties, raise_if_not_exists=False)


def to_arrow(rows: pd.DataFrame) -> pa.Table:
    return pa.table(
        {
            name: pa.array(rows[name].tolist(), type=HISTORY if name == "history" else None)
            if name in ("history", "user_id", "as_of_date", "history_hash", "run_id", "churned", "orders_in_horizon")
            else pa.array(rows[name].astype(object).where(rows[name].notna(), None), pa.float64())
            for name in rows
        }
    )


def _population(as_of: date) -> Population:
    quantiles = {name: 100 * np.asarray(QUANTILE_PROBABILITIES) for name in SPEC.money_numbers}
    return Population.measured(as_of, 1000, 20.0, quantiles)


CONF = Path(__file__).parents[1] / "conf"
CONFIG = CONF / "recipes/history.yaml"

SMALL = [
    "min_users=20", "network.vector_size=16", "network.hidden_size=16", "text.max_tokens=48", "precision=fp32",
    "heads.batch_size=32", "heads.epochs=6", "heads.learning_rate=0.02", "tuning.optimiser.batch_size=16",
    "tuning.optimiser.learning_rate=0.001", "tuning.optimiser.epochs=1", "tuning.optimiser.evaluations_per_epoch=1",
    "serving_precision=fp32",
]  # fmt: skip
"""Changes to ``CONFIG`` that fit a tiny model and this training set."""


def small(base: Path, *overrides: str) -> TrainConfig:
    """The default configuration with ``SMALL`` and ``overrides``."""
    return load_train_config(CONFIG, [*SMALL, f"base={base}", *overrides])
