"""Day by day: who is there, how often each comes, and what offers and drifts change of it."""

from dataclasses import dataclass

import numpy as np

from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Bools, Draws, Floats, Ints
from ulvspark.simulation.users.offers import Exposures, effects
from ulvspark.simulation.users.people import PERIOD_DAYS, SIGN_UP_ONLY, People

_YEAR, _PEAK_DAY_OF_YEAR = 365.25, 349


@dataclass(frozen=True)
class Presence:
    """Arrays (n, days) from the first day of the platform on, except for ``left``."""

    present: Bools
    visits: Floats
    """The expected number of visits on the day."""
    buying: Floats
    """Times the odds of buying."""
    value: Floats
    """The value of orders against the median's."""
    left: Ints
    """The day on which the user leaves for good (n,): within the days simulated, or else as hazards were at last."""


def presence(config: SimulationConfig, users: People, exposures: Exposures, days: int) -> Presence:
    """What these users' days are like, up to a day; ``exposures`` are those of these users, by their place in it."""
    period = np.arange(days) // PERIOD_DAYS
    offered = effects(config, users.ids, exposures, days)
    hazard = config.behaviour.hazard_per_day * np.exp(users.log_hazard)[:, period] * offered["leaving"]
    hazard *= _steps(config.drifts("hazard"), days)
    joined = np.arange(days) >= users.joined[:, None]
    left = _left(config, users, np.where(joined, hazard, 0.0), hazard[:, -1])
    visits = config.behaviour.visits_per_day * np.exp(users.log_visits)[:, period] * _calendar(config, days)
    return Presence(
        present=joined & (np.arange(days) < left[:, None]) & (users.kind != SIGN_UP_ONLY)[:, None],
        visits=visits,
        buying=offered["buying"],
        value=np.exp(users.log_value)[:, period] * offered["order_value"],
        left=left,
    )


def _left(config: SimulationConfig, users: People, hazard: Floats, last: Floats) -> Ints:
    """The first day on which the hazards of all days so far exceed what the user's life is worth."""
    life = Draws(config.seed).exponential("life", users.ids)
    lived = np.cumsum(hazard, axis=1)
    beyond = hazard.shape[1] + np.maximum(users.joined - hazard.shape[1], 0)
    later = beyond + np.ceil((life - lived[:, -1]) / last)
    within = (lived < life[:, None]).sum(axis=1)
    left: Ints = np.where(lived[:, -1] >= life, within, np.minimum(later, 10**6)).astype(np.int64)
    return left


def _steps(drifts: list[tuple[int, float]], days: int) -> Floats:
    """What drifts multiply a rate by, (days,)."""
    factor = np.ones(days)
    for since, times in drifts:
        factor[since:] *= times
    return factor


def _calendar(config: SimulationConfig, days: int) -> Floats:
    """The visits of each day against those of another: weekends, and the season where there is one, (days,)."""
    weekday = (config.start.weekday() + np.arange(days)) % 7
    factor = np.where(weekday >= 5, 1 + config.behaviour.weekend, 1.0)
    day_of_year = config.start.timetuple().tm_yday + np.arange(days)
    wave = np.cos(2 * np.pi * (day_of_year - _PEAK_DAY_OF_YEAR) / _YEAR)
    for since, amplitude in config.drifts("season"):
        factor[since:] *= 1 + amplitude * wave[since:]
    return factor
