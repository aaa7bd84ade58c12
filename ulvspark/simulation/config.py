"""The configuration of a simulated platform: sizes, dates and rates (``conf/simulation.yaml``)."""

from datetime import date

from pydantic import Field

from ulvspark.contract.config import Seed, Strict
from ulvspark.contract.dates import Day, Days


class SimulationConfig(Strict):
    """One simulated platform. The same configuration gives the same rows, however Spark partitions the work."""

    users: int = Field(1000, ge=1)
    products: int = Field(500, ge=100)
    start: Day = date(2023, 1, 1)
    days: Days = Field(730, ge=60)
    seed: Seed = 7
    visits_per_day: float = Field(0.04, gt=0)
    """Median visits a day of a user who has not left."""
    hazard_per_day: float = Field(0.002, gt=0)
    """Median rate of leaving for good."""
    promotion_share: float = Field(0.2, ge=0, le=1)
    """Share of products on promotion in a week."""
