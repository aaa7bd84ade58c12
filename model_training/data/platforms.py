"""Learning from other platforms too: numbers are ranks and shares within each, so rows of several can lie together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pandas as pd

from model_training.data.dataset import PLATFORM, Platform, TrainingSet, cut_date, read_training_set
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.bundle.manifest import Manifest

ELSEWHERE = "elsewhere"
"""The key of a manifest's configuration that holds what was learned from other platforms."""


@dataclass(frozen=True)
class Learned:
    """A platform that a bundle learned from, and as of which dates."""

    currency: str
    time_zone: str
    origins: tuple[date, ...]


def read_platforms(warehouse: str, elsewhere: Sequence[str], cut_name: str) -> TrainingSet:
    """The training set of ``warehouse``, and after its rows what those of ``elsewhere`` knew on their own cuts.

    Raises ExpectedError where one is not there, or they differ in numbers or horizon.
    """
    home = read_training_set(warehouse)
    for root in elsewhere:
        home = _with(home, read_training_set(root), cut_name, root)
    return home


def _with(home: TrainingSet, other: TrainingSet, cut_name: str, root: str) -> TrainingSet:
    for what in ("history_spec", "protocol.horizon_days"):
        here, there = (_value(each, what) for each in (home, other))
        if here != there:
            raise ExpectedError(
                f"{root}: {what} is {there}, but {here} at home; build its training set with the same, since a network "
                "has one set of numbers and one horizon"
            )
    protocol = other.meta.protocol
    origins = protocol.origins_closed_by(cut_date(protocol, cut_name))
    rows = other.rows[other.rows["as_of_date"].isin(origins)].assign(**{PLATFORM: len(home.elsewhere) + 1})
    platform = Platform(other.meta, other.version, origins, other.populations)
    return replace(
        home,
        rows=pd.concat([home.rows, rows], ignore_index=True),
        elsewhere=(*home.elsewhere, platform),
    )


def check_amounts(home: TrainingSet) -> None:
    """Raises ExpectedError where bounds in money, which are in the currency of ``home``, are to divide another's."""
    others = {each.meta.currency for each in home.elsewhere} - {home.meta.currency}
    if others:
        raise ExpectedError(
            f"--elsewhere: tier bounds are in {home.meta.currency}, but a platform is in {min(others)}; give "
            f"tiers.quantiles in place of tiers.amounts, or learn from platforms in {home.meta.currency} alone"
        )


def _value(training_set: TrainingSet, dotted: str) -> Any:  # noqa: ANN401 - whatever stands there
    value: Any = training_set.meta
    for name in dotted.split("."):
        value = getattr(value, name)
    return value


def described(elsewhere: Sequence[Platform]) -> list[dict[str, Any]]:
    """For the manifest: which platforms, runs and dates were learned from."""
    return [
        {
            "run_id": each.meta.run_id, "currency": each.meta.currency, "time_zone": each.meta.time_zone,
            "training_origins": [origin.isoformat() for origin in each.origins],
        }
        for each in elsewhere
    ]  # fmt: skip


def inherited(manifest: Manifest) -> list[dict[str, Any]]:
    """For the manifest of a bundle that goes on from another: what that one learned from."""
    return [
        {"currency": each.currency, "time_zone": each.time_zone,
         "training_origins": [origin.isoformat() for origin in each.origins]}
        for each in learned(manifest)
    ]  # fmt: skip


def learned(manifest: Manifest) -> tuple[Learned, ...]:
    """Every platform that a bundle learned from, its home first."""
    others = (
        Learned(each["currency"], each["time_zone"], tuple(map(date.fromisoformat, each["training_origins"])))
        for each in manifest.config.get(ELSEWHERE, ())
    )
    return (Learned(manifest.currency, manifest.time_zone, manifest.training_origins), *others)
