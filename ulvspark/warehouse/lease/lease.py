"""A lease in the hands of a run: take it, renew it, check it before each commit, give it back."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from ulvspark.contract.errors import RetryableError
from ulvspark.warehouse.lease.record import Clock, Place, Record, clock_time, now

logger = logging.getLogger(__name__)

LEASE_SECONDS = 180
"""A lease that was not renewed for so long is free: how long a killed run keeps others out."""

COMMIT_SECONDS = 60
"""No commit begins with less time left."""

POLL_SECONDS = 1.0


class Lease:
    """A lease that this run has taken. It is used by the run's thread and by the one that renews it."""

    def __init__(self, place: Place, name: str, record: Record, tag: str, clock: Clock = now) -> None:
        self._place = place
        self.name = name
        self._record = record
        self._tag = tag
        self._clock = clock
        self._lock = threading.Lock()
        self.is_lost = False

    @property
    def number(self) -> int:
        """Higher than that of everyone who had the lease before."""
        return self._record.number

    def seconds_left(self) -> float:
        """Until others may take the lease, unless it is renewed."""
        return self._record.expires_at - self._clock()

    def renew(self) -> None:
        """Have the lease for ``LEASE_SECONDS`` from now. Raises RetryableError where it is lost."""
        with self._lock:
            self._renew()

    def _renew(self) -> None:
        self._find_own_record()
        renewed = replace(self._record, expires_at=self._clock() + LEASE_SECONDS)
        tag = self._place.swap(self.name, renewed, self._tag)
        if tag is None:
            # A store that answered too late may have written it all the same.
            self._find_own_record()
        else:
            self._record, self._tag = renewed, tag

    def check(self) -> None:
        """Raises RetryableError unless this run still has the lease, for long enough to commit."""
        with self._lock:
            self._find_own_record()
            if self.seconds_left() < COMMIT_SECONDS:
                self._renew()

    def _find_own_record(self) -> None:
        there = self._place.read(self.name)
        if self.is_lost or there is None or not self._is_own(there[0]):
            self.is_lost = True
            raise self.lost_error()
        self._record, self._tag = there

    def _is_own(self, record: Record) -> bool:
        return (record.owner, record.number) == (self._record.owner, self._record.number)

    def lost_error(self) -> RetryableError:
        """What to say when the run can no longer be sure to be the only one."""
        return RetryableError(
            f"this run has lost the lease `{self.name}` of warehouse {self._place.root}, which it could not renew in "
            "time, so it publishes nothing more; run it again"
        )

    def give_back(self) -> None:
        """Let others take the lease at once. It expires by itself where this does not succeed."""
        try:
            with self._lock:
                self._find_own_record()
                self._place.swap(self.name, replace(self._record, owner=None), self._tag)
        except Exception as error:
            logger.warning("the lease %s was not given back and expires by itself (%s)", self.name, error)


def take(
    place: Place,
    name: str,
    owner: str,
    wait_seconds: float = 0,
    clock: Clock = now,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease:
    """Take a lease for the run ``owner``, waiting up to ``wait_seconds`` for it.

    Raises RetryableError, which says who has it, where it is not to be had in that time.
    """
    deadline, is_told = clock() + wait_seconds, False
    while True:
        taken = _take_now(place, name, owner, clock)
        if isinstance(taken, Lease):
            return taken
        if clock() >= deadline:
            raise RetryableError(_held(place, name, taken, wait_seconds))
        if not is_told:
            logger.info("waiting for the lease %s, which run %s has", name, taken.owner)
            is_told = True
        sleep(min(POLL_SECONDS, max(deadline - clock(), 0.0)))


def _take_now(place: Place, name: str, owner: str, clock: Clock) -> Lease | Record:
    """The lease, or the record of the run that has it."""
    while True:
        there, at = place.read(name), clock()
        if there is not None and there[0].is_held(at):
            return there[0]
        # Numbers go on rising where somebody has removed the records.
        number = max(int(at), 0 if there is None else there[0].number + 1)
        mine = Record(owner, socket.gethostname(), number, taken_at=at, expires_at=at + LEASE_SECONDS)
        tag = place.swap(name, mine, None if there is None else there[1])
        if tag is None and (there := place.read(name)) is not None and there[0] == mine:
            # The store had written it, and was asked again because it answered late.
            tag = there[1]
        if tag is not None:
            return Lease(place, name, mine, tag, clock)


def _held(place: Place, name: str, record: Record, waited: float) -> str:
    after = f" after {waited:g} s of waiting" if waited else ""
    return (
        f"the lease `{name}` of warehouse {place.root} is held{after} by run {record.owner} on {record.host} since "
        f"{clock_time(record.taken_at)}; run again when that run has ended, or let this one wait for it with --wait "
        f"SECONDS (if it was killed, the lease is free from {clock_time(record.expires_at)} on)"
    )
