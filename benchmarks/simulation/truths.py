"""Whether each truth of a simulated platform can be found, and is not found where it carries nothing.

    python -m benchmarks.simulation.truths [--users 30000] [words ...]

For each signal a platform on which it is strong, and one on which it carries nothing. LightGBM predicts what users do
in the 91 days after a date from plain numbers, from these and what shows the signal, and from these and the signal's
truth itself. Printed is the gain over plain numbers in explained variance, with its 95 % interval over users.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import lightgbm
import numpy as np
import pandas as pd

from benchmarks.simulation import observed
from benchmarks.simulation.observed import Seen
from ulvspark.contract.assignment import positions
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.platform import Platform, simulate_platform

STRONG, NONE = "strong", "nothing"
SHARE = 0.5
"""The share of the variance of log spend that a signal carries where it is strong."""

ROUNDS, FOLDS, DRAWS = 150, 2, 500

Frame = pd.DataFrame


@dataclass(frozen=True)
class Found:
    """What LightGBM is given of the users who have an outcome, a row a user in each."""

    outcome: pd.Series
    plain: Frame
    shown: Frame
    truth: Frame


Signal = Callable[[str, dict[str, Any]], Found]
"""Makes a platform on which the signal is strong, or carries nothing, and reads it."""


def driver(name: str, shows: Callable[[Seen, SimulationConfig], Frame], truth: Callable[..., Frame]) -> Signal:
    """A signal that carries a share of log spend; the outcome is the logarithm of spend."""

    def read(strength: str, sizes: dict[str, Any]) -> Found:
        shares = dict.fromkeys(SimulationConfig().signals.shares(), 0.0) | {name: SHARE if strength == STRONG else 0.0}
        config, platform, seen = _platform(sizes | {"signals": shares})
        spent = observed.spend(seen, seen.after).clip(lower=0).map(np.log1p)
        return Found(spent, observed.numbers(seen), shows(seen, config), truth(platform, seen, config))

    return read


def elasticity(strength: str, sizes: dict[str, Any]) -> Found:
    """How users answer to prices; the outcome is the share of their purchases that are on promotion."""
    spread = 1.0 if strength == STRONG else 0.0
    _, platform, seen = _platform(sizes | {"prices": {"elasticity_spread": spread}})
    outcome = observed.bargains(seen.after).bargains
    outcome = outcome[outcome.index.isin(seen.users.index)]
    known = platform.truth_users.to_pandas().set_index("user_id")[["price_elasticity"]]
    frames = (observed.numbers(seen), observed.bargains(seen.before), known)
    return Found(outcome, *(frame.reindex(outcome.index) for frame in frames))


def offers(strength: str, sizes: dict[str, Any]) -> Found:
    """What an offer does to whom; the outcome is the number of orders while it lasts, of users in both arms."""
    end = SimulationConfig().end
    first = end - timedelta(days=observed.HORIZON_DAYS)
    offer = {"name": "offer", "salt": "salt", "holdout": 0.5, "first_day": first, "every_days": 365, "lasts_days": 91,
             "buying": 4.0 if strength == STRONG else 1.0, "helped": 0.4, "lost": 0.3}  # fmt: skip
    _, platform, seen = _platform(sizes | {"offers": [offer]})
    bought = seen.after[seen.after.event_type == "purchase"]
    orders = bought.groupby("user_id").order_id.nunique().reindex(seen.users.index).fillna(0.0)
    arm = pd.Series(positions("salt", seen.users.index) >= 0.5, seen.users.index).astype(float)
    effect = platform.truth_offers.to_pandas().set_index("user_id").buying_effect.reindex(seen.users.index)
    plain = observed.numbers(seen).assign(arm=arm)
    shown = observed.bargains(seen.before).reindex(seen.users.index)
    return Found(orders.map(np.log1p), plain, shown, pd.DataFrame({"effect": effect.where(arm == 1, 1.0)}))


def _profile_truth(platform: Platform, seen: Seen, config: SimulationConfig) -> Frame:
    names = ["profile_visits", "profile_value", "profile_hazard"]
    known: Frame = platform.truth_users.to_pandas().set_index("user_id").loc[seen.users.index, names]
    return known


SIGNALS: dict[str, Signal] = {
    "words": driver("words", lambda seen, config: observed.said(seen), observed.states),
    "profile": driver("profile", lambda seen, config: observed.profile(seen), _profile_truth),
    "clicks": driver("clicks", lambda seen, config: observed.clicked(seen), observed.states),
    "pictures": driver("pictures", observed.styles, observed.states),
    "relations": driver("relations", observed.qualities, observed.states),
    "elasticity": elasticity,
    "offers": offers,
}


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    for signal in args.signals or SIGNALS:
        for strength in (STRONG, NONE):
            print(f"{signal}, {strength}: {gains(SIGNALS[signal](strength, {'users': args.users}))}", flush=True)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="benchmarks.simulation.truths", description=(__doc__ or "").splitlines()[0])
    command.add_argument("--users", type=int, default=30_000)
    command.add_argument("signals", nargs="*", help="all if none is named")
    return command


def _platform(settings: dict[str, Any]) -> tuple[SimulationConfig, Platform, Seen]:
    """A platform, split 91 days before its end."""
    config = SimulationConfig.model_validate({"products": 5000} | settings)
    platform = simulate_platform(config)
    return config, platform, observed.split(platform, config.end - timedelta(days=observed.HORIZON_DAYS))


def gains(found: Found) -> str:
    """The gains of what shows a signal and of its truth over plain numbers."""
    outcome = found.outcome.to_numpy()
    frames = {"plain": found.plain, "shown": found.plain.join(found.shown), "truth": found.plain.join(found.truth)}
    errors = {name: (predicted(frame, outcome) - outcome) ** 2 for name, frame in frames.items()}
    variance = outcome.var()
    lines = [f"{1 - errors['plain'].mean() / variance:.3f} of the variance explained by numbers"]
    for name in ("shown", "truth"):
        value, low, high = gain(errors["plain"], errors[name], variance)
        lines.append(f"{name} {value:+.4f} [{low:+.4f}, {high:+.4f}]")
    return ", ".join(lines)


def predicted(features: pd.DataFrame, outcome: np.ndarray) -> np.ndarray:
    """What LightGBM predicts of each user, from trees that have learned from the other half of the users."""
    fold = np.arange(len(outcome)) % FOLDS
    values = np.empty(len(outcome))
    settings = {"num_leaves": 15, "learning_rate": 0.03, "min_data_in_leaf": 100, "verbose": -1, "seed": 1,
                "deterministic": True, "num_threads": 2}  # fmt: skip
    for number in range(FOLDS):
        train = lightgbm.Dataset(features[fold != number], outcome[fold != number])
        values[fold == number] = np.asarray(lightgbm.train(settings, train, ROUNDS).predict(features[fold == number]))
    return values


def gain(before: np.ndarray, after: np.ndarray, variance: float) -> tuple[float, float, float]:
    """How much more variance is explained, and the 95 % interval of that over users (paired bootstrap)."""
    less = (before - after) / variance
    draws = np.random.default_rng(1).integers(0, len(less), (DRAWS, len(less)))
    low, high = np.quantile(less[draws].mean(axis=1), (0.025, 0.975))
    return float(less.mean()), float(low), float(high)


if __name__ == "__main__":
    raise SystemExit(main())
