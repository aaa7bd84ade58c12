"""The configuration of a simulated platform, in plain terms (`conf/simulation.yaml`)."""

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ulvspark.contract.config import Seed, Strict
from ulvspark.contract.dates import Day, Days


class Behaviour(Strict):
    """How users come, look, buy and leave: medians over users, who differ around them."""

    visits_per_day: float = Field(default=0.03, gt=0, le=3)
    """Median visits a day of a buyer who is there."""
    hazard_per_day: float = Field(default=0.002, gt=0, le=1)
    """Median rate of leaving for good."""
    spend_spread: float = Field(default=1.3, ge=0, le=3)
    """Standard deviation, over users, of the logarithm of what a user who is there spends a day."""
    click_rate: float = Field(default=0.3, gt=0, lt=1)
    purchase_rate: float = Field(default=0.15, gt=0, lt=1)
    """Median chance that what is looked at is clicked on, and that it is bought at its usual price."""
    sign_up_only: float = Field(default=0.05, ge=0, le=1)
    """Share of users who sign up and do nothing more."""
    browsers: float = Field(default=0.15, ge=0, le=1)
    """Share of users who only look, until a first purchase that most never make."""
    first_purchase_per_day: float = Field(default=0.004, ge=0, le=1)
    """Median rate at which a browser becomes a buyer."""
    weekend: float = Field(default=0.2, ge=-0.9, le=5)
    """How many more visits there are on a Saturday or Sunday than on another day, as a share."""

    @model_validator(mode="after")
    def _kinds_are_shares(self) -> "Behaviour":
        if self.sign_up_only + self.browsers > 1:
            raise ValueError("sign_up_only and browsers add up to more than 1; lower one")
        return self


class Signals(Strict):
    """For each signal, the share of the variance of log spend that it carries; what is left a user has alone.

    With 0 a signal is still there but says nothing of what a user will spend.
    """

    words: float = Field(default=0.15, ge=0, le=1)
    """The mood of a user, which changes over months: reviews and searches tell it, and it drives leaving as well."""
    profile: float = Field(default=0.1, ge=0, le=1)
    """Country, age band, channel and loyalty programme."""
    clicks: float = Field(default=0.1, ge=0, le=1)
    """How often a user clicks on what is looked at."""
    pictures: float = Field(default=0.1, ge=0, le=1)
    """The styles a user likes, which only pictures show."""
    relations: float = Field(default=0.05, ge=0, le=1)
    """How good the brands are that a user likes, which facts about brands and substitutes show."""
    spells: float = Field(default=0.1, ge=0, le=1)
    """Hot and cold spells, which nothing but recent activity shows."""

    @model_validator(mode="after")
    def _no_more_than_all(self) -> "Signals":
        total = sum(self.shares().values())
        if total > 1 + 1e-9:
            raise ValueError(f"the shares add up to {total:.2f} of the variance of log spend; lower some, to 1 in all")
        return self

    def shares(self) -> dict[str, float]:
        """The share of each signal."""
        return self.model_dump()


class Prices(Strict):
    """Prices, promotions, and how users answer to them."""

    median: float = Field(default=12.0, gt=0, le=1e6)
    promotion_share: float = Field(default=0.2, ge=0, le=1)
    """Share of products on promotion in a week."""
    elasticity: float = Field(default=3.0, ge=0, le=20)
    """Median over users: by how much the log odds of buying rise when a price is half of the one remembered."""
    elasticity_spread: float = Field(default=0.6, ge=0, le=3)
    """Standard deviation of its logarithm over users; over categories it is half of that."""


class Offer(Strict):
    """Something that is offered to part of the users at a time, and what it does to them.

    Effects are multipliers, 1 for none. ``helped`` users have the effects as they are given, ``lost`` ones their
    opposites (1 / effect), and the rest none.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    salt: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    holdout: float = Field(default=0.2, ge=0, le=1)
    first_day: Day
    every_days: Days = 28
    """Without ``--assignments`` it is made to everybody who is not held out on its first day, then this often."""
    lasts_days: Days = 28
    buying: float = Field(default=1.0, gt=0, le=10)
    """Times the odds of buying what is looked at."""
    order_value: float = Field(default=1.0, gt=0, le=10)
    leaving: float = Field(default=1.0, gt=0, le=10)
    """Times the hazard of leaving."""
    helped: float = Field(default=0.4, ge=0, le=1)
    """Share of users who are helped: those who mind prices most."""
    lost: float = Field(default=0.1, ge=0, le=1)
    """Share of users to whom it does harm: those who mind prices least."""

    @model_validator(mode="after")
    def _groups_are_shares(self) -> "Offer":
        if self.helped + self.lost > 1:
            raise ValueError("helped and lost add up to more than 1; lower one")
        return self


class Drift(Strict):
    """Something that changes from a date on. What ``strength`` means depends on what changes.

    prices: by how much list prices rise (0.3 is 30 %). catalogue: the share of looks that go to products which are new
    on that day. country: the share of users joining from then on who come from a country nobody came from before.
    season: the amplitude of a yearly wave in visits, with its peak in December. hazard: times the hazard of leaving.
    taste: the share of users whose favourite categories and styles are others from then on. half_load: the share of
    events that are never delivered. mapping: the share of purchases that are called "checkout_done" instead.
    """

    what: Literal["prices", "catalogue", "country", "season", "hazard", "taste", "half_load", "mapping"]
    since: Day
    strength: float = Field(ge=0, le=100)

    @model_validator(mode="after")
    def _shares_are_shares(self) -> "Drift":
        if self.what not in ("prices", "hazard") and self.strength > 1:
            raise ValueError(f"strength of {self.what} is a share; give a number from 0 to 1")
        return self


class Deliveries(Strict):
    """Shares of events that reach the platform's tables late, are corrected afterwards, or are deleted again."""

    late: float = Field(default=0.0, ge=0, le=1)
    """Come 1 to 7 days after their day."""
    corrected: float = Field(default=0.0, ge=0, le=1)
    """Of purchases: come with a wrong price, which is put right 1 to 14 days later."""
    deleted: float = Field(default=0.0, ge=0, le=1)
    """Are taken out of the tables 1 to 14 days after they came."""


class Pictures(Strict):
    """A picture for each product, as a file; off unless asked for."""

    write: bool = False
    pixels: int = Field(default=48, ge=16, le=512)
    """Width and height."""
    missing: float = Field(default=0.02, ge=0, le=0.2)
    broken: float = Field(default=0.02, ge=0, le=0.2)
    cmyk: float = Field(default=0.02, ge=0, le=0.2)
    animated: float = Field(default=0.02, ge=0, le=0.2)
    huge: float = Field(default=0.005, ge=0, le=0.1)
    """Shares of pictures that give a reader trouble."""


class SimulationConfig(Strict):
    """One simulated platform. The same configuration gives the same rows, however the work is divided."""

    users: int = Field(default=2000, ge=1, le=10**8)
    """Users who join in the first ``joining_days``; after them as many a day go on joining."""
    joining_days: Days = 730
    products: int = Field(default=2000, ge=100, le=10**7)
    start: Day = date(2023, 1, 1)
    days: Annotated[int, Field(ge=60, le=36_500)] = 730
    """How long it runs, unless ``--until`` says so."""
    seed: Seed = 7
    behaviour: Behaviour = Behaviour()
    signals: Signals = Signals()
    prices: Prices = Prices()
    deliveries: Deliveries = Deliveries()
    pictures: Pictures = Pictures()
    offers: tuple[Offer, ...] = ()
    drift: tuple[Drift, ...] = ()

    @model_validator(mode="after")
    def _dates_within(self) -> "SimulationConfig":
        for kind, begins in [*((o.name, o.first_day) for o in self.offers), *((d.what, d.since) for d in self.drift)]:
            if begins < self.start:
                raise ValueError(f"{kind} begins on {begins}, before the platform does ({self.start}); correct a date")
        names = [offer.name for offer in self.offers]
        if len(names) > len(set(names)):
            raise ValueError("two offers have the same name; rename one")
        return self

    @property
    def is_small(self) -> bool:
        """Whether all its events, about one in twelve days of each user, take a few megabytes alone."""
        return self.users * self.days < 12 * 200_000

    @property
    def end(self) -> date:
        """The day on which the simulation ends, not a part of it."""
        return self.start + timedelta(days=self.days)

    def day(self, on: date) -> int:
        """Days from the start to a date."""
        return (on - self.start).days

    def drifts(self, what: str) -> list[tuple[int, float]]:
        """The day and the strength of each drift of this kind."""
        return [(self.day(each.since), each.strength) for each in self.drift if each.what == what]
