"""Read the training sets of several platforms as one: numbers are ranks and shares within each platform."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pandas as pd

from model_training.data.dataset import PLATFORM, Platform, TrainingSet, cut_date, read_training_set
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.bundle.manifest import Manifest

ELSEWHERE = "elsewhere"
"""The key, in the configuration that a manifest holds, of the other platforms that the bundle learned from."""


@dataclass(frozen=True)
class Learned:
    """A platform that a bundle learned from, and the dates of its rows."""

    currency: str
    time_zone: str
    origins: tuple[date, ...]


def read_platforms(warehouse: str, elsewhere: Sequence[str], cut_name: str) -> TrainingSet:
    """The training set of ``warehouse``, followed by the rows of ``elsewhere`` that were known on their own cuts.

    Raises ExpectedError where one is missing, or where they differ in their numbers or their horizon.
    """
    home = read_training_set(warehouse)
    for root in elsewhere:
        home = _append(home, read_training_set(root), cut_name, root)
    return home


def _append(home: TrainingSet, other: TrainingSet, cut_name: str, root: str) -> TrainingSet:
    _check_equal("history_spec", home.meta.history_spec, other.meta.history_spec, root)
    _check_equal("protocol.horizon_days", home.meta.protocol.horizon_days, other.meta.protocol.horizon_days, root)
    protocol = other.meta.protocol
    origins = protocol.origins_closed_by(cut_date(protocol, cut_name))
    rows = other.rows[other.rows["as_of_date"].isin(origins)].assign(**{PLATFORM: len(home.elsewhere) + 1})
    platform = Platform(other.meta, other.version, origins, other.populations)
    return replace(
        home,
        rows=pd.concat([home.rows, rows], ignore_index=True),
        elsewhere=(*home.elsewhere, platform),
    )


def _check_equal(name: str, here: object, there: object, root: str) -> None:
    if here != there:
        raise ExpectedError(
            f"{root}: {name} is {there}, but {here} at home; build its training set with the same, since a network "
            "has one set of numbers and one horizon"
        )


def check_amounts(home: TrainingSet) -> None:
    """Raises ExpectedError where tier bounds in the currency of ``home`` would be used on spend in another one."""
    others = {platform.meta.currency for platform in home.elsewhere} - {home.meta.currency}
    if others:
        raise ExpectedError(
            f"--elsewhere: tier bounds are in {home.meta.currency}, but a platform is in {min(others)}; give "
            f"tiers.quantiles in place of tiers.amounts, or learn from platforms in {home.meta.currency} alone"
        )


def described(elsewhere: Sequence[Platform]) -> list[dict[str, Any]]:
    """For the manifest: the platforms learned from, with the run of their training set and their dates."""
    return [
        {
            "run_id": platform.meta.run_id,
            "currency": platform.meta.currency,
            "time_zone": platform.meta.time_zone,
            "training_origins": [origin.isoformat() for origin in platform.origins],
        }
        for platform in elsewhere
    ]


def inherited(manifest: Manifest) -> list[dict[str, Any]]:
    """For the manifest of a bundle whose training started from another bundle: what that one learned from."""
    return [
        {
            "currency": platform.currency,
            "time_zone": platform.time_zone,
            "training_origins": [origin.isoformat() for origin in platform.origins],
        }
        for platform in learned(manifest)
    ]


def learned(manifest: Manifest) -> tuple[Learned, ...]:
    """Every platform that a bundle learned from, its own first."""
    others = (
        Learned(
            platform["currency"],
            platform["time_zone"],
            tuple(map(date.fromisoformat, platform["training_origins"])),
        )
        for platform in manifest.config.get(ELSEWHERE, ())
    )
    return (Learned(manifest.currency, manifest.time_zone, manifest.training_origins), *others)
