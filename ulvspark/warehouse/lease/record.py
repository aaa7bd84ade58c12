"""What is written about a lease: who has it, since when, until when, and its number."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Protocol

Clock = Callable[[], float]
"""Seconds since 1970. The clocks of the machines that write to a warehouse have to agree within a minute."""

now: Clock = time.time


@dataclass(frozen=True)
class Record:
    """A lease as it stands in its place. Times are seconds since 1970."""

    owner: str | None
    """The id of the run that has it; None where it was given back."""
    host: str
    number: int
    """Higher with each owner."""
    taken_at: float
    expires_at: float

    def is_held(self, at: float) -> bool:
        """Whether a run has the lease at a time."""
        return self.owner is not None and at < self.expires_at

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"expires": clock_time(self.expires_at)})

    @classmethod
    def from_json(cls, text: str) -> "Record":
        content = json.loads(text)
        del content["expires"]
        return cls(**content)


class Place(Protocol):
    """Where the leases of a warehouse stand; a record is replaced only by whoever read the newest one."""

    root: str

    def read(self, name: str) -> tuple[Record, str] | None:
        """The newest record of a lease, and its tag; None where nobody ever had it."""

    def swap(self, name: str, record: Record, tag: str | None) -> str | None:
        """Replace the record that has ``tag`` (None: the first one); returns the new tag.

        Returns None, and changes nothing, where another record is there by now.
        """


def clock_time(at: float) -> str:
    """A time as people read it."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
