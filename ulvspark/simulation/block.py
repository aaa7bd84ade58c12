"""A block of users: who they are, and everything they do on some days. What Spark and small platforms are made of."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ulvspark.simulation.behaviour.events import MOST_DAYS, MOST_LATE, Log, event_rows, log
from ulvspark.simulation.behaviour.looks import Looks, looks
from ulvspark.simulation.behaviour.visits import visits
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Ints
from ulvspark.simulation.users.offers import Exposures
from ulvspark.simulation.users.people import People, people
from ulvspark.simulation.users.presence import Presence, presence

USERS = 1_000
"""Users of a block: their days then fit the processor's caches, more or less."""

LOOK_BACK = 2 * MOST_DAYS + MOST_LATE + 1
"""What is delivered or changed on a day belongs to visits of at most as many days before."""


@dataclass(frozen=True)
class Block:
    """Users, and what they do."""

    config: SimulationConfig
    people: People
    presence: Presence
    looks: Looks
    log: Log
    end: int

    def events(self) -> pa.Table:
        """The platform's events of these users when day ``end`` begins."""
        there = (self.log.delivered < self.end) & (self.log.deleted >= self.end)
        return self._rows(there)

    def delivered_since(self, day: int) -> pa.Table:
        """Those that were delivered on day ``day`` or later."""
        there = (self.log.delivered < self.end) & (self.log.deleted >= self.end)
        return self._rows(there & (self.log.delivered >= day))

    def corrected_since(self, day: int) -> pa.Table:
        """Those that were there when day ``day`` began, and got another price since."""
        before, now = self.log.delivered < day, self.log.deleted >= self.end
        return self._rows(before & now & (self.log.corrected >= day) & (self.log.corrected < self.end))

    def deleted_since(self, day: int) -> pa.Table:
        """Those that were there when day ``day`` began, and were deleted since."""
        before = (self.log.delivered < day) & (self.log.deleted >= day)
        return self._rows(before & (self.log.deleted < self.end))

    def _rows(self, chosen: np.ndarray) -> pa.Table:
        return event_rows(self.config, self.people, self.looks, self.log.where(chosen), self.end)


def block(config: SimulationConfig, ids: Ints, exposures: Exposures, end: int, since: int = 0) -> Block:
    """What users, whose numbers follow one another, do before day ``end``.

    Only events that are delivered or changed on day ``since`` or later are sure to be all there.
    """
    users = people(config, ids, end)
    days = presence(config, users, exposures.among(ids), end)
    made = looks(config, users, days, visits(config, users, days, max(0, since - LOOK_BACK), end))
    return Block(config, users, days, made, log(config, users, made), end)


def numbers(total: int, size: int = USERS) -> Iterator[Ints]:
    """The numbers of all users, block by block."""
    for first in range(0, total, size):
        yield np.arange(first, min(first + size, total), dtype=np.int64)
