"""Events: what each look leaves in the platform's log, and on which day it is delivered, corrected or deleted."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, time

import numpy as np
import pyarrow as pa

from ulvspark.simulation.behaviour import texts
from ulvspark.simulation.behaviour.looks import MOST_A_VISIT, Looks
from ulvspark.simulation.behaviour.visits import MOST_A_DAY
from ulvspark.simulation.catalogue.products import product_ids, products
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Bools, Draws, Ints
from ulvspark.simulation.users.people import People, cart_interest, user_names

STEPS = ("search", "view", "click", "cart", "purchase", "return", "review")
"""What a look may leave, in this order."""

SEARCH, PURCHASE, RETURN, REVIEW = (STEPS.index(step) for step in ("search", "purchase", "return", "review"))

MOST_DAYS = 14
"""Returns and reviews come at most as long after the purchase; corrections and deletions as long after delivery."""

MOST_LATE = 7
WRONG_PRICE = 1.1
"""What a price is multiplied by until it is corrected."""

NEVER = 10**6
BROKEN_NAME = "checkout_done"

EVENTS = pa.schema([
    ("event_id", pa.string()), ("user_id", pa.string()), ("order_id", pa.string()),
    ("event_time", pa.timestamp("us", "UTC")), ("event_type", pa.string()), ("product_id", pa.string()),
    ("quantity", pa.int64()), ("unit_price", pa.float64()), ("list_price", pa.float64()), ("rating", pa.int64()),
    ("text", pa.string()), ("delivered_on", pa.date32()),
])  # fmt: skip


@dataclass(frozen=True)
class Log:
    """Arrays of a value an event, (e,)."""

    look: Ints
    """The place of its look."""
    step: Ints
    """The place of what it is in ``STEPS``."""
    key: Ints
    """A number that no other event of the platform has."""
    second: Ints
    """Seconds since the start of the platform."""
    delivered: Ints
    corrected: Ints
    """The day on which the price is put right, -1 where it never was wrong."""
    deleted: Ints
    """Days since the start; ``NEVER`` where it does not happen."""

    def where(self, chosen: Bools) -> "Log":
        """The events for which ``chosen`` holds."""
        return Log(*(getattr(self, field.name)[chosen] for field in fields(self)))


def log(config: SimulationConfig, users: People, made: Looks) -> Log:
    """What these looks leave: always a view, sometimes more."""
    draws = Draws(config.seed)
    chance = {step: draws.uniform(step, made.key) for step in ("search", "cart", "return", "review")}
    happens = np.empty((len(made.key), len(STEPS)), bool)
    happens[:, SEARCH] = chance["search"] < 0.25
    happens[:, STEPS.index("view")] = True
    happens[:, STEPS.index("click")] = made.clicked
    cart_odds = np.exp(cart_interest(config, users.ids)[made.user] - 1.8)
    happens[:, STEPS.index("cart")] = made.bought | (made.clicked & (chance["cart"] < cart_odds / (1 + cart_odds)))
    happens[:, PURCHASE] = made.bought
    happens[:, RETURN] = made.bought & (chance["return"] < 0.08 / (1 + np.exp(made.said)))
    happens[:, REVIEW] = made.bought & (chance["review"] < 0.2)
    look, step = np.nonzero(happens)
    second = (86_400 * made.day + made.second + 20 * made.item)[look] + step
    later = (step == RETURN) | (step == REVIEW)
    second[later] += (86_400 * (2 + (MOST_DAYS - 2) * draws.uniform("later", made.key[look[later]]))).astype(np.int64)
    order = ((users.ids[made.user] * 40_000 + made.day) * MOST_A_DAY + made.visit) * MOST_A_VISIT + made.item
    return _delivered(config, look, step, order[look] * len(STEPS) + step, second)


def _delivered(config: SimulationConfig, look: Ints, step: Ints, key: Ints, second: Ints) -> Log:
    draws, rates = Draws(config.seed), config.deliveries
    delivered = second // 86_400
    for since, share in config.drifts("half_load"):
        lost = (delivered >= since) & (draws.uniform("lost", key) < share)
        delivered = np.where(lost, NEVER, delivered)
    if rates.late:
        late = draws.uniform("late", key) < rates.late
        delivered = delivered + np.where(late, 1 + draws.below(MOST_LATE, "how late", key), 0)
    corrected = _some_day_after(draws, rates.corrected, "corrected", key, delivered, -1)
    deleted = _some_day_after(draws, rates.deleted, "deleted", key, delivered, NEVER)
    return Log(look, step, key, second, delivered, np.where(step == PURCHASE, corrected, -1), deleted)


def _some_day_after(draws: Draws, share: float, what: str, key: Ints, day: Ints, otherwise: int) -> Ints:
    """For a share of the events a day 1 to 14 days after ``day``."""
    if not share:
        return np.full(len(key), otherwise)
    return np.where(draws.uniform(what, key) < share, day + 1 + draws.below(MOST_DAYS, f"{what} when", key), otherwise)


def event_rows(config: SimulationConfig, users: People, made: Looks, kept: Log, as_of: int) -> pa.Table:
    """Events as the platform's table holds them when day ``as_of`` begins."""
    look, step = kept.look, kept.step
    user, product = made.user[look], made.product[look]
    searched, reviewed = step == SEARCH, step == REVIEW
    price = np.where(kept.corrected >= as_of, np.round(made.price[look] * WRONG_PRICE, 2), made.price[look])
    order = kept.key // (len(STEPS) * MOST_A_VISIT)
    columns = [
        pa.array(kept.key).cast(pa.string()),
        user_names(users.ids).take(pa.array(user)),
        pa.array(order).cast(pa.string()),
        pa.array((kept.second + _start(config)) * 1_000_000).cast(pa.timestamp("us", "UTC")),
        _names(config, kept),
        product_ids(len(products(config).kind)).take(pa.array(product, mask=searched)),
        pa.array(made.quantity[look], mask=~((step == PURCHASE) | (step == RETURN))),
        pa.array(price, mask=searched),
        pa.array(made.list_price[look], mask=searched),
        pa.array(texts.ratings(made)[look], mask=~reviewed),
        _texts(config, users, made, kept),
        pa.array(np.datetime64(config.start) + kept.delivered, pa.date32()),
    ]
    return pa.Table.from_arrays(columns, schema=EVENTS)


def _start(config: SimulationConfig) -> int:
    """The start of the platform in seconds since 1970."""
    return int(datetime.combine(config.start, time(), UTC).timestamp())


def _names(config: SimulationConfig, kept: Log) -> pa.StringArray:
    """The type of each event, as the platform calls it."""
    place = kept.step
    for since, share in config.drifts("mapping"):
        renamed = (place == PURCHASE) & (kept.second // 86_400 >= since)
        place = np.where(renamed & (Draws(config.seed).uniform("renamed", kept.key) < share), len(STEPS), place)
    return pa.array([*STEPS, BROKEN_NAME], pa.string()).take(pa.array(place))


def _texts(config: SimulationConfig, users: People, made: Looks, kept: Log) -> pa.StringArray:
    """The words of searches and reviews, null for other events."""
    searched, reviewed = np.nonzero(kept.step == SEARCH)[0], np.nonzero(kept.step == REVIEW)[0]
    written = pa.concat_arrays([
        texts.searches(config, users, made, kept.look[searched]),
        texts.reviews(config, users, made, kept.look[reviewed]),
    ])  # fmt: skip
    place = np.full(len(kept.step), -1)
    place[searched] = np.arange(len(searched))
    place[reviewed] = len(searched) + np.arange(len(reviewed))
    return written.take(pa.array(place, mask=place < 0))
