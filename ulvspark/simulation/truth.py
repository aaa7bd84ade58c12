"""What only a simulator knows: tables of the truth behind users, products, offers and drifts.

They lie in a folder of their own, which no source's mapping names, and only evaluation reads them.
"""

import numpy as np
import pyarrow as pa

from ulvspark.simulation.behaviour.looks import category_elasticity
from ulvspark.simulation.catalogue.pictures import troubles
from ulvspark.simulation.catalogue.products import product_ids, products
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.users.offers import EFFECTS, HELPED, LOST, UNMOVED, multipliers, responses
from ulvspark.simulation.users.people import (
    KINDS,
    PERIOD_DAYS,
    People,
    first_purchase_hazard,
    profile_effects,
    user_names,
)
from ulvspark.simulation.users.presence import Presence

FOLDER = "truth"


def user_truth(config: SimulationConfig, users: People, days: Presence) -> pa.Table:
    """A row a user: what drives it, without offers and drifts.

    Lists hold a value for each ``period_days`` since ``periods_from``: the user's states, and the rates that they and
    what lasts come to. ``left_on`` is the day on which the user leaves for good, which may lie in the future.
    """
    behaviour = config.behaviour
    visits = behaviour.visits_per_day * np.exp(users.log_visits)
    value = np.exp(users.log_value)
    of_profile = profile_effects(config, users.profile)
    buys_from = np.where(np.isfinite(users.becomes_buyer), users.becomes_buyer, days.left)
    number = len(users.ids)
    return pa.table({
        "user_id": user_names(users.ids),
        "kind": pa.array([KINDS[kind] for kind in users.kind], pa.string()),
        "own": users.own,
        **{f"profile_{what}": effect for what, effect in zip(("visits", "value", "hazard"), of_profile, strict=True)},
        "price_elasticity": users.elasticity,
        "purchase_rate": 1 / (1 + np.exp(-users.purchase_odds)),
        "first_purchase_hazard": first_purchase_hazard(config, users.ids),
        "buys_from": _dates(config, buys_from),
        "left_on": _dates(config, days.left),
        "periods_from": pa.array([config.start] * number, pa.date32()),
        "period_days": pa.array([PERIOD_DAYS] * number, pa.int64()),
        **{name: _lists(state) for name, state in users.states.items()},
        "visits_per_day": _lists(visits),
        "order_value": _lists(value),
        "latent_value": _lists(visits * value),
        "churn_hazard": _lists(behaviour.hazard_per_day * np.exp(users.log_hazard)),
        "click_rate": _lists(users.click_rate),
    })  # fmt: skip


def offer_truth(config: SimulationConfig, users: People) -> pa.Table:
    """A row a user and offer: what it does to the user, whoever gets it."""
    tables = []
    for offer in config.offers:
        helped, lost = responses(config, offer, users.ids)
        response = np.where(helped, HELPED, np.where(lost, LOST, UNMOVED))
        tables.append(pa.table({
            "user_id": user_names(users.ids),
            "offer": pa.array([offer.name] * len(users.ids), pa.string()),
            "response": pa.array(response, pa.string()),
            **{f"{name}_effect": effect for name, effect in multipliers(config, offer, users.ids).items()},
        }))  # fmt: skip
    return pa.concat_tables(tables) if tables else OFFER_TRUTH.empty_table()


OFFER_TRUTH = pa.schema([
    ("user_id", pa.string()), ("offer", pa.string()), ("response", pa.string()),
    *((f"{name}_effect", pa.float64()) for name in EFFECTS),
])  # fmt: skip


def product_truth(config: SimulationConfig) -> pa.Table:
    """A row a product: what no title tells of it."""
    sold = products(config)
    return pa.table({
        "product_id": product_ids(len(sold.kind)),
        "style": sold.style,
        "style_axis": sold.style_axis,
        "quality": sold.quality,
        "price_level": sold.price_level,
        "elasticity_factor": category_elasticity(config)[sold.category],
        "picture": troubles(config, np.arange(len(sold.kind))),
    })  # fmt: skip


def drift_truth(config: SimulationConfig) -> pa.Table:
    """A row a drift."""
    columns = {"what": pa.string(), "since": pa.date32(), "strength": pa.float64()}
    rows = [each.model_dump() for each in config.drift]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(columns.items())))


def _lists(values: np.ndarray) -> pa.ListArray:
    """Each row of a matrix (n, m) as a list."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel().astype(np.float32)))


def _dates(config: SimulationConfig, days: np.ndarray) -> pa.Date32Array:
    """Days since the start as dates, none more than a hundred years on."""
    return pa.array(np.datetime64(config.start) + np.minimum(days, 36_500).astype(np.int64), pa.date32())
