"""Offers: who is assigned to which arm, who was exposed, and what it does to whom."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from ulvspark.contract.assignment import positions
from ulvspark.simulation.config import Offer, SimulationConfig
from ulvspark.simulation.draws import Bools, Draws, Floats, Ints

HELPED, UNMOVED, LOST = "helped", "unmoved", "lost"
EFFECTS = ("buying", "order_value", "leaving")

EXPOSURES = pa.schema([("user_id", pa.string()), ("offer", pa.string()), ("exposed_on", pa.date32())])
"""Who was shown an offer on which day, as those who show them write it down."""


@dataclass(frozen=True)
class Exposures:
    """Arrays of a value an exposure, (m,)."""

    user: Ints
    """The number of the user."""
    offer: Ints
    """Its place in the configuration."""
    day: Ints
    """Days since the start."""

    def among(self, ids: Ints) -> "Exposures":
        """Those of a block of users, whose numbers follow one another."""
        mine = (self.user >= ids[0]) & (self.user <= ids[-1])
        return Exposures(self.user[mine], self.offer[mine], self.day[mine])


NO_EXPOSURES = Exposures(*(np.zeros(0, np.int64) for _ in range(3)))


def scheduled(config: SimulationConfig, joined: Ints, ids: Ints, names: list[str], first: int, end: int) -> Exposures:
    """Exposures of the days from ``first`` to before ``end`` where nobody else assigns: everybody in the treatment arm.

    ``joined`` (n,) are the days on which the users join, and ``names`` their ids on the platform.
    """
    made = [each for place, offer in enumerate(config.offers)
            for each in _rounds(config, place, offer, joined, ids, names, first, end)]  # fmt: skip
    if not made:
        return NO_EXPOSURES
    return Exposures(*(np.concatenate([getattr(each, name) for each in made]) for name in ("user", "offer", "day")))


def _rounds(
    config: SimulationConfig, place: int, offer: Offer, joined: Ints, ids: Ints, names: list[str], first: int, end: int
) -> Iterator[Exposures]:
    begins = config.day(offer.first_day)
    late = max(0, first - begins)
    days = range(begins + -(-late // offer.every_days) * offer.every_days, end, offer.every_days)
    if not days:
        return
    treated = positions(offer.salt, names) >= offer.holdout
    for day in days:
        users = ids[treated & (joined <= day)]
        yield Exposures(users, np.full(len(users), place), np.full(len(users), day))


def responses(config: SimulationConfig, offer: Offer, ids: Ints) -> tuple[Bools, Bools]:
    """Who is helped by an offer, and who is lost by it: those who mind prices most, and least."""
    # Elasticity is lognormal over users, so the rank of its normal number is the rank of the user.
    minds = Draws(config.seed).normal("elasticity", ids) + 0.5 * Draws(config.seed).normal(f"offer {offer.name}", ids)
    helped, lost = (_normal_quantile(1 - offer.helped), _normal_quantile(offer.lost))
    spread = np.sqrt(1.25)
    return minds > spread * helped, minds < spread * lost


def multipliers(config: SimulationConfig, offer: Offer, ids: Ints) -> dict[str, Floats]:
    """What an offer does to each of these users, (n,) for each of ``EFFECTS``."""
    helped, lost = responses(config, offer, ids)
    given = {name: float(getattr(offer, name)) for name in EFFECTS}
    return {name: np.where(helped, effect, np.where(lost, 1 / effect, 1.0)) for name, effect in given.items()}


def effects(config: SimulationConfig, ids: Ints, exposures: Exposures, days: int) -> dict[str, Floats]:
    """What the offers these users were exposed to multiply on each day, (n, days) for each of ``EFFECTS``.

    An offer acts from the day after the exposure for ``lasts_days``; shown again meanwhile, it acts no stronger.
    """
    factors = {name: np.ones((len(ids), days)) for name in EFFECTS}
    for place, offer in enumerate(config.offers):
        mine = exposures.offer == place
        if not mine.any():
            continue
        acting = _acting(exposures.user[mine] - ids[0], exposures.day[mine], offer.lasts_days, (len(ids), days))
        for name, effect in multipliers(config, offer, ids).items():
            factors[name] *= np.where(acting, effect[:, None], 1.0)
    return factors


def _acting(row: Ints, day: Ints, lasts: int, shape: tuple[int, int]) -> Bools:
    """Whether an offer acts, (n, days): 1 is added where it begins, and taken away where it ends."""
    edges = np.zeros((shape[0], shape[1] + 1))
    np.add.at(edges, (row, np.minimum(day + 1, shape[1])), 1)
    np.add.at(edges, (row, np.minimum(day + 1 + lasts, shape[1])), -1)
    acting: Bools = np.cumsum(edges, axis=1)[:, :-1] > 0.5
    return acting


def _normal_quantile(share: float) -> float:
    return NormalDist().inv_cdf(min(max(share, 1e-12), 1 - 1e-12))
