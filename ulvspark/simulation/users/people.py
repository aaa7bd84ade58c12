"""Who the users are: what drives each of them, for good or from month to month, and what the platform knows of them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Bools, Draws, Floats, Ints

PERIOD_DAYS = 28
"""What moves users holds for as long, counted from the start of the platform."""

STATES = {"words": 2, "clicks": 2, "pictures": 2, "relations": 2, "spells": 0}
"""What moves users from period to period, by signal, and after how many periods spending and leaving follow it.

So the signals tell what is to come, before numbers can. Spells show in nothing else and act at once.
"""

STAYS = 0.8
"""Correlation of a state with that of the period before."""

IN_VISITS = 0.6
"""The part of log spend that shows in visits; the rest shows in the value of orders."""

SIGN_UP_ONLY, BROWSER, BUYER = range(3)
KINDS = ("sign_up_only", "browser", "buyer")

PROFILE = {
    "country": ("Germany", "France", "Netherlands", "Spain", "Ireland"),
    "age_band": ("18-24", "25-34", "35-44", "45-54", "55-64", "65+"),
    "channel": ("search", "social", "referral", "newsletter", "marketplace"),
    "loyalty": ("none", "member", "gold"),
}
NEW_COUNTRY = "Portugal"

_SHARES = {
    "country": (0.3, 0.25, 0.2, 0.15, 0.1), "age_band": (0.1, 0.25, 0.25, 0.2, 0.12, 0.08),
    "channel": (0.35, 0.2, 0.15, 0.2, 0.1), "loyalty": (0.6, 0.3, 0.1),
}  # fmt: skip
_EFFECTS = {
    "country": (0.4, -0.7, 1.0, -1.3, 1.2), "age_band": (-1.2, -0.4, 0.5, 1.0, 0.3, -0.6),
    "channel": (0.0, 1.2, -0.6, -1.0, 1.0), "loyalty": (-0.7, 0.6, 2.0),
}  # fmt: skip
_NEW_COUNTRY_EFFECT = -1.5


@dataclass(frozen=True)
class People:
    """Arrays of a value a user, (n,), and of a value a user and period, (n, periods)."""

    ids: Ints
    kind: Ints
    joined: Ints
    """Days since the start."""
    profile: dict[str, Ints]
    """Places in ``PROFILE``; of ``country`` one more for the new one."""
    known: dict[str, Bools]
    """Whether the platform knows each of these of the user."""
    own: Floats
    """What drives a user for good, standard normal."""
    states: dict[str, Floats]
    """By signal what moves a user, standard normal, a value a period."""
    log_visits: Floats
    log_value: Floats
    """How visits a day and the value of orders differ from the median's, as logarithms, a value a period."""
    log_hazard: Floats
    """How the hazard of leaving differs from the median's, as a logarithm, a value a period."""
    click_rate: Floats
    """The chance that what is looked at is clicked on, a value a period."""
    purchase_odds: Floats
    """The logarithm of the odds that what is looked at is bought at its usual price."""
    elasticity: Floats
    becomes_buyer: Floats
    """The day from which the user may buy: of buyers the day of joining, of those who only sign up never."""


def people(config: SimulationConfig, ids: Ints, days: int) -> People:
    """The users of these numbers, with moods and spells up to a day."""
    draws = Draws(config.seed)
    kind = _kinds(config, draws, ids)
    joined = ids // config.users * config.joining_days + draws.below(config.joining_days, "joined", ids)
    profile = _profile(config, draws, ids, joined)
    own = draws.normal("own", ids)
    states = _states(draws, ids, days)
    visits, value, hazard = profile_effects(config, profile)
    acting = {name: _after(state, STATES[name]) for name, state in states.items()}
    driven = _driven(config, own, acting)
    behaviour = config.behaviour
    stays = 0.4 * draws.normal("hazard", ids) + hazard
    return People(
        ids=ids,
        kind=kind,
        joined=joined,
        profile=profile,
        known=_known(draws, ids),
        own=own,
        states=states,
        log_visits=IN_VISITS * driven + visits[:, None],
        log_value=(1 - IN_VISITS) * driven + value[:, None],
        log_hazard=stays[:, None] - 1.8 * np.sqrt(config.signals.words) * acting["words"],
        click_rate=1 / (1 + np.exp(-_log_odds(behaviour.click_rate) - 1.2 * states["clicks"])),
        purchase_odds=_log_odds(behaviour.purchase_rate) + 0.4 * draws.normal("purchase rate", ids),
        elasticity=config.prices.elasticity * np.exp(config.prices.elasticity_spread * draws.normal("elasticity", ids)),
        becomes_buyer=_becomes_buyer(config, draws, ids, kind, joined),
    )


def number_of_users(config: SimulationConfig, days: int) -> int:
    """How many users may have joined by a day: those of each era of ``joining_days`` that has begun."""
    return config.users * -(-days // config.joining_days)


def profile_effects(config: SimulationConfig, profile: dict[str, Ints]) -> tuple[Floats, Floats, Floats]:
    """What a profile adds to the logarithms of visits, order value and hazard; 0 where the signal carries nothing.

    Countries shift the value of orders, age bands and loyalty programmes the visits, and channels the hazard.
    """
    strength = np.sqrt(config.signals.profile)
    effect = {name: _standardised(name)[places] for name, places in profile.items()}
    of_spend = config.behaviour.spend_spread * strength / np.sqrt(3)
    visits = of_spend * (effect["age_band"] + effect["loyalty"])
    return visits, of_spend * effect["country"], strength * effect["channel"]


def _kinds(config: SimulationConfig, draws: Draws, ids: Ints) -> Ints:
    chance = draws.uniform("kind of user", ids)
    browsers = config.behaviour.sign_up_only + config.behaviour.browsers
    return np.where(chance < config.behaviour.sign_up_only, SIGN_UP_ONLY, np.where(chance < browsers, BROWSER, BUYER))


def _profile(config: SimulationConfig, draws: Draws, ids: Ints, joined: Ints) -> dict[str, Ints]:
    profile = {name: draws.choice(shares, name, ids) for name, shares in _SHARES.items()}
    for since, share in config.drifts("country"):
        moved = (joined >= since) & (draws.uniform("new country", ids) < share)
        profile["country"] = np.where(moved, len(PROFILE["country"]), profile["country"])
    return profile


def _known(draws: Draws, ids: Ints) -> dict[str, Bools]:
    """A third of the users lack one or more of their attributes."""
    lacking = draws.uniform("lacks attributes", ids) < 1 / 3
    surely = draws.below(len(PROFILE), "lacks surely", ids)
    return {
        name: ~(lacking & ((surely == place) | (draws.uniform(f"lacks {name}", ids) < 0.3)))
        for place, name in enumerate(PROFILE)
    }


def _states(draws: Draws, ids: Ints, days: int) -> dict[str, Floats]:
    periods = np.arange(days // PERIOD_DAYS + 1)
    return {name: _wandering(draws.normal(f"state of {name}", ids[:, None], periods)) for name in STATES}


def _wandering(shocks: Floats) -> Floats:
    """Standard normal values of which each keeps a part of the one before (an autoregression of order 1)."""
    values = shocks.copy()
    for period in range(1, shocks.shape[1]):
        values[:, period] = STAYS * values[:, period - 1] + np.sqrt(1 - STAYS**2) * shocks[:, period]
    return values


def _after(state: Floats, periods: int) -> Floats:
    """A state as it acts some periods later; before that the first one acts."""
    return state[:, np.maximum(np.arange(state.shape[1]) - periods, 0)]


def _driven(config: SimulationConfig, own: Floats, acting: dict[str, Floats]) -> Floats:
    """Log spend a day against the median's, a value a period, without what the profile adds."""
    shares = config.signals.shares()
    rest = np.sqrt(max(0.0, 1 - sum(shares.values()))) * own[:, None]
    moving = sum(np.sqrt(shares[name]) * state for name, state in acting.items())
    driven: Floats = config.behaviour.spend_spread * (rest + moving)
    return driven


def _becomes_buyer(config: SimulationConfig, draws: Draws, ids: Ints, kind: Ints, joined: Ints) -> Floats:
    """Browsers become buyers at a hazard of their own."""
    rate = np.maximum(first_purchase_hazard(config, ids), 1e-12)
    waits = np.where(kind == BROWSER, draws.exponential("first purchase", ids) / rate, 0.0)
    return np.where(kind == SIGN_UP_ONLY, np.inf, joined + np.floor(waits))


def first_purchase_hazard(config: SimulationConfig, ids: Ints) -> Floats:
    """The rate a day at which a browser becomes a buyer: greater for those who put more into their cart."""
    hazard: Floats = config.behaviour.first_purchase_per_day * np.exp(cart_interest(config, ids))
    return hazard


def cart_interest(config: SimulationConfig, ids: Ints) -> Floats:
    """How much more often a user puts into the cart what is then not bought, as a logarithm of odds."""
    return Draws(config.seed).normal("cart interest", ids)


def _standardised(name: str) -> Floats:
    """The effects of an attribute's values, with mean 0 and variance 1 over users; the new country's comes last."""
    shares, effects = np.array(_SHARES[name]), np.array(_EFFECTS[name])
    centred = effects - shares @ effects
    scaled: Floats = centred / np.sqrt(shares @ centred**2)
    return np.append(scaled, _NEW_COUNTRY_EFFECT) if name == "country" else scaled


def _log_odds(share: float) -> float:
    return float(np.log(share / (1 - share)))


def user_names(ids: Ints) -> pa.StringArray:
    """The ids of users on the platform."""
    return pa.array([f"u{each}" for each in ids.tolist()], pa.string())


def user_table(config: SimulationConfig, users: People) -> pa.Table:
    """What the platform knows of these users."""
    values = {name: (*values, NEW_COUNTRY) if name == "country" else values for name, values in PROFILE.items()}
    columns = {
        name: pa.array(values[name], pa.string()).take(pa.array(places, mask=~users.known[name]))
        for name, places in users.profile.items()
    }
    signup = pa.array(np.datetime64(config.start) + users.joined, pa.date32())
    return pa.table({"user_id": user_names(users.ids), "signup": signup, **columns})
