"""Specs that shape the model's input and output. They are part of a bundle and cannot be set when scoring.

Their defaults are those of ``conf/train.yaml`` and ``conf/history.yaml``.
"""

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ulvspark.contract.config import Strict
from ulvspark.contract.dates import Days
from ulvspark.contract.heads import DEFAULT_HEADS, HeadName


class HistorySpec(Strict):
    """What is computed of a user as of a date."""

    windows_days: tuple[Days, ...] = (30, 91, 183, 365)
    """Net spend and orders are counted over each of these numbers of days before the date."""
    recent_events: int = Field(32, ge=1)
    """How many of the newest events the network may read."""

    @field_validator("windows_days")
    @classmethod
    def _rising(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if not days or any(low >= high for low, high in pairwise(days)):
            raise ValueError("give one or more numbers of days, rising strictly")
        return days

    @property
    def money_numbers(self) -> tuple[str, ...]:
        """Numbers in the warehouse's currency. Models see only their ranks within the platform."""
        windows = tuple(f"net_spend_{days}d" for days in self.windows_days)
        return (*windows, "net_spend", "order_value")

    @property
    def count_numbers(self) -> tuple[str, ...]:
        """Counts and day counts; models see log(1 + x)."""
        windows = tuple(f"orders_{days}d" for days in self.windows_days)
        activity = tuple(f"{kind}_events" for kind in ("view", "click", "cart", "search", "review"))
        return (
            "recency_days", "tenure_days", "signup_days", "orders", *windows, "active_days",
            "gap_mean_days", "gap_std_days", "products", "categories", "items", *activity,
        )  # fmt: skip

    @property
    def share_numbers(self) -> tuple[str, ...]:
        """Shares in [0, 1]; models see them as they are."""
        return ("return_share", "discount_share", "below_reference_share")

    @property
    def numbers(self) -> tuple[str, ...]:
        """All numbers of a user, in the order of the behaviour table."""
        return (*self.money_numbers, *self.count_numbers, *self.share_numbers)


class TextSpec(Strict):
    """How texts become tokens."""

    max_tokens: int = Field(64, ge=8)
    """Longer texts are cut at their end: a title or a review of unit ``event``, the oldest events of ``history``."""
    profile_max_words: int = Field(24, ge=0)
    """Words of the profile that are read, of unit ``history``; the rest is cut."""


class TierSpec(Strict):
    """Value tiers, lowest first. Tier ``i`` holds spend in [bounds[i - 1], bounds[i]), in units of ``unit``."""

    names: tuple[str, ...]
    bounds: tuple[float, ...]
    unit: Literal["platform_scale", "currency"]
    means: tuple[float, ...]
    """Mean training spend of each tier in platform scales."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.names) < 2 or len(set(self.names)) != len(self.names):
            raise ValueError("give two or more different tier names")
        if len(self.bounds) != len(self.names) - 1 or len(self.means) != len(self.names):
            raise ValueError("K tiers have K - 1 bounds and K means")
        if any(low >= high for low, high in zip(self.bounds, self.bounds[1:], strict=False)):
            raise ValueError("tier bounds must rise strictly; use fewer tiers or other quantiles")
        return self


Unit = Literal["history", "event"]
"""What the base encoder reads at a time: a user's recent events as one text, or each distinct text of an event."""


class SequenceSpec(Strict):
    """The small transformer that reads a user's events one after another, for unit ``event``."""

    layers: int = Field(1, ge=1)
    width: int = Field(64, ge=4)
    attention_heads: int = Field(4, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % self.attention_heads:
            raise ValueError(f"width {self.width} is not a multiple of attention_heads {self.attention_heads}")
        return self


class NetworkSpec(Strict):
    """The architecture around the base encoder."""

    unit: Unit = "event"
    """``event``: the base reads each product, search and review once for all users, and ``sequence`` reads a user's
    events. ``history``: the base reads a user's recent events as one text."""
    sequence: SequenceSpec = Field(default_factory=lambda: SequenceSpec.model_validate({}))
    """For unit ``event`` alone."""
    pooling: Literal["mean", "cls", "last"] = "mean"
    vector_size: int = Field(128, ge=2)  # the norm over a single number is always 0
    hidden_size: int = Field(128, ge=0)
    """Width of the layer that the heads share; 0 leaves it out, which makes the heads linear classifiers."""
    dropout: float = Field(0.2, ge=0, lt=1)
    use_text: bool = True
    use_numbers: bool = True
    heads: tuple[HeadName, ...] = DEFAULT_HEADS

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.heads:
            raise ValueError("name at least one head")
        if len(set(self.heads)) != len(self.heads):
            raise ValueError("name each head once")
        if not (self.use_text or self.use_numbers):
            raise ValueError("use_text and use_numbers are both off, so the network has no input; set one to true")
        return self
