"""Visits: on which days users come, and when."""

from dataclasses import dataclass

import numpy as np

from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Draws, Ints
from ulvspark.simulation.users.people import People
from ulvspark.simulation.users.presence import Presence

MOST_A_DAY = 3


@dataclass(frozen=True)
class Visits:
    """Arrays of a value a visit, (v,), in the order of users and days."""

    user: Ints
    """The place of the user in the block."""
    day: Ints
    number: Ints
    """Which visit of the day it is, from 0."""
    second: Ints
    """Seconds after midnight."""


def visits(config: SimulationConfig, users: People, days: Presence, first: int, end: int) -> Visits:
    """The visits from day ``first`` to before day ``end``: a Poisson process, of which a day holds three at most."""
    draws = Draws(config.seed)
    mean = days.visits[:, first:end]
    chance = draws.uniform("visits", users.ids[:, None], np.arange(first, end))
    none = np.exp(-mean)
    user, column = np.nonzero(days.present[:, first:end] & (chance > none))
    mean, chance, none = mean[user, column], chance[user, column], none[user, column]
    number = 1 + (chance > none * (1 + mean)) + (chance > none * (1 + mean + mean**2 / 2))
    user, day = np.repeat(user, number), np.repeat(column + first, number)
    place = places_within(number)
    ids = users.ids[user]
    # From six in the morning to half past eleven at night, so that a visit ends before midnight.
    second = 6 * 3600 + draws.below(63_000, "second", ids, day, place)
    return Visits(user, day, place, second)


def places_within(sizes: Ints) -> Ints:
    """0, 1, 2 ... within each group of these sizes."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
