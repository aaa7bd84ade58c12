"""Looks: which products users look at in a visit, what they cost that day, and whether they are bought."""

from dataclasses import dataclass

import numpy as np

from ulvspark.simulation.behaviour.visits import Visits, places_within
from ulvspark.simulation.catalogue import words
from ulvspark.simulation.catalogue.prices import discount, list_price, remembered_discount
from ulvspark.simulation.catalogue.products import Products, products
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Bools, Draws, Floats, Ints, poisson_thresholds
from ulvspark.simulation.users.people import PERIOD_DAYS, People
from ulvspark.simulation.users.presence import Presence

MOST_A_VISIT = 10
NEW_DAYS = 90
"""A product is new for as long; its picture then counts twice."""

_MORE_LOOKS = 2.0
_FAVOURITES = 3
_TO_THE_NEWEST = 0.15
_NEWEST_SHARE = 0.05
_ITEMS = 1.3


@dataclass(frozen=True)
class Looks:
    """Arrays of a value a look, (l,), in the order of users, days and visits."""

    user: Ints
    """The place of the user in the block."""
    day: Ints
    visit: Ints
    item: Ints
    second: Ints
    key: Ints
    """Random bits of the look's own, for further draws."""
    product: Ints
    list_price: Floats
    price: Floats
    clicked: Bools
    bought: Bools
    quantity: Ints
    said: Floats
    """The user's mood on the day as a review or a search tells it."""


def looks(config: SimulationConfig, users: People, days: Presence, made: Visits) -> Looks:
    """What is looked at in each visit."""
    draws = Draws(config.seed)
    ids = users.ids[made.user]
    more = draws.uniform("looks", ids, made.day, made.number)
    number = 1 + np.searchsorted(poisson_thresholds(_MORE_LOOKS, MOST_A_VISIT - 1), more)
    visit = np.repeat(np.arange(len(number)), number)
    item = places_within(number)
    user, day = made.user[visit], made.day[visit]
    key = draws.hashes("look", ids[visit], day, made.number[visit], item).astype(np.int64)
    product = _chosen(config, users, user, day, key)
    full, price, gain = _prices(config, product, day)
    period = day // PERIOD_DAYS
    odds = _log_odds(config, users, user, product, gain) + np.log(days.buying[user, day])
    bought = (draws.uniform("bought", key) < 1 / (1 + np.exp(-odds))) & (day >= users.becomes_buyer[user])
    items = _ITEMS * days.value[user, day]
    return Looks(
        user=user,
        day=day,
        visit=made.number[visit],
        item=item,
        second=made.second[visit],
        key=key,
        product=product,
        list_price=full,
        price=price,
        clicked=bought | (draws.uniform("clicked", key) < users.click_rate[user, period]),
        bought=bought,
        quantity=np.clip(items + draws.uniform("quantity", key), 1, 500).astype(np.int64),
        said=users.states["words"][user, period] + 0.7 * draws.normal("said", key),
    )


def category_elasticity(config: SimulationConfig) -> Floats:
    """What a category multiplies each user's elasticity by, (categories,)."""
    numbers = Draws(config.seed).normal("elasticity of category", np.arange(len(words.CATEGORIES)))
    return np.exp(config.prices.elasticity_spread / 2 * numbers)


def _log_odds(config: SimulationConfig, users: People, user: Ints, product: Ints, gain: Floats) -> Floats:
    """The log odds of buying: ``gain`` is the share by which the price lies below the one remembered."""
    elasticity = users.elasticity[user] * category_elasticity(config)[products(config).category[product]]
    return users.purchase_odds[user] + 2 * elasticity * gain


def _prices(config: SimulationConfig, product: Ints, day: Ints) -> tuple[Floats, Floats, Floats]:
    """List price, price of the day, and the share by which it lies below the price that people remember."""
    sold, week = products(config), day // 7
    full = list_price(config, sold, product, day)
    price = np.round(full * (1 - discount(config, product, week)), 2)
    before = list_price(config, sold, product, np.maximum(day - 14, 0))
    remembered = before * (1 - remembered_discount(config, product, week))
    return full, price, np.clip(1 - price / remembered, -1, 1)


def _chosen(config: SimulationConfig, users: People, user: Ints, day: Ints, key: Ints) -> Ints:
    """Of two products of a favourite category the one that suits the user's tastes, more often than not."""
    draws, sold = Draws(config.seed), products(config)
    moved = _tastes_moved(config, users.ids[user], day)
    favourite = draws.below(_FAVOURITES, "favourite", key)
    category = draws.below(len(words.CATEGORIES), "taste", users.ids[user], favourite, moved)
    period = day // PERIOD_DAYS
    style = users.states["pictures"][user, period] + np.where(
        moved > 0, draws.normal("taste in pictures", users.ids[user], moved), 0.0
    )
    quality, value = users.states["relations"][user, period], users.log_value[user, period]
    candidates = [_candidate(config, category, day, key, number) for number in range(2)]
    suits = [_suits(sold, product, day, style, quality) + value * sold.price_level[product] for product in candidates]
    first = draws.uniform("choice", key) < 1 / (1 + np.exp(suits[1] - suits[0]))
    return np.where(first, *candidates)


def _tastes_moved(config: SimulationConfig, ids: Ints, day: Ints) -> Ints:
    """How often the tastes of each user have moved by the day."""
    times = np.zeros(len(ids), np.int64)
    for number, (since, share) in enumerate(config.drifts("taste")):
        times += (day >= since) & (Draws(config.seed).uniform("taste moves", ids, number) < share)
    return times


def _suits(sold: Products, product: Ints, day: Ints, style: Floats, quality: Floats) -> Floats:
    """How well a product suits: its picture, twice as much while it is new, and the quality of its brand."""
    new = (sold.appears[product] > 0) & (day - sold.appears[product] < NEW_DAYS)
    return 1.5 * style * sold.style_axis[product] * np.where(new, 2.0, 1.0) + 1.5 * quality * sold.quality[product]


def _candidate(config: SimulationConfig, category: Ints, day: Ints, key: Ints, number: int) -> Ints:
    """A product of the category, mostly a popular one, sometimes one of the newest."""
    draws, categories = Draws(config.seed), len(words.CATEGORIES)
    chance = draws.uniform(f"candidate {number}", key)
    there = _number_there(config, day)
    newest = draws.uniform(f"newest {number}", key) < _TO_THE_NEWEST
    rank = np.where(newest, 1 - chance * _NEWEST_SHARE, chance**2) * there
    product: Ints = category + categories * np.minimum(rank.astype(np.int64), there - 1)
    for generation, (since, share) in enumerate(config.drifts("catalogue"), start=1):
        begins = generation * config.products
        instead = (day >= since) & (draws.uniform(f"catalogue {generation} {number}", key) < share)
        place = (category - begins) % categories + categories * (chance**2 * (config.products // categories - 1))
        product = np.where(instead, begins + place.astype(np.int64), product)
    return product


def _number_there(config: SimulationConfig, day: Ints) -> Ints:
    """How many products of a category are sold on the day, of those that the platform began with or added since."""
    categories = len(words.CATEGORIES)
    last = products(config).appears[: config.products // categories * categories][categories - 1 :: categories]
    number: Ints = np.searchsorted(last, day, side="right")
    return number
