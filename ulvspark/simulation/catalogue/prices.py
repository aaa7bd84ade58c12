"""What a product costs on a day, what is taken off in its week, and the price that people remember."""

import numpy as np

from ulvspark.simulation.catalogue.products import Products
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Draws, Floats, Ints

DEPTHS = np.array([0.1, 0.2, 0.3, 0.4])
"""What promotions take off, as a share."""

REMEMBERED = np.array([0.4, 0.3, 0.2, 0.1])
"""The weight of each of the last four weeks, the latest first, in the price that people remember."""

_QUARTERLY_CHANGE = 0.06


def list_price(config: SimulationConfig, sold: Products, product: Ints, day: Ints) -> Floats:
    """The price before promotions: the product's own level, changed a little every quarter."""
    change = _QUARTERLY_CHANGE * Draws(config.seed).normal("price change", product, day // 91)
    price = config.prices.median * np.exp(sold.price_level[product] + change)
    for since, rise in config.drifts("prices"):
        price = np.where(day >= since, price * (1 + rise), price)
    return np.maximum(np.round(price, 2), 0.05)


def discount(config: SimulationConfig, product: Ints, week: Ints) -> Floats:
    """The share taken off in a week; 0 when the product is not on promotion."""
    chance = Draws(config.seed).uniform("promotion", product, week) / max(config.prices.promotion_share, 1e-12)
    # Below 1 it is uniform once more, so that it also draws how much is taken off.
    depth = DEPTHS[np.minimum(chance * len(DEPTHS), len(DEPTHS) - 1).astype(np.int64)]
    return np.where(chance < 1, depth, 0.0)


def remembered_discount(config: SimulationConfig, product: Ints, week: Ints) -> Floats:
    """By which share the price that people remember lies below the list price: a mean over the last four weeks."""
    taken = np.zeros(len(product))
    for ago, weight in enumerate(REMEMBERED):
        taken += weight * discount(config, product, week - 1 - ago)
    return taken
