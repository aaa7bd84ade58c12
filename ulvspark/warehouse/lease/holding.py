"""Hold leases on a warehouse while a block runs: a thread renews them, and every commit of the block is checked."""

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

from ulvspark.contract.errors import EXPECTED_ENDS
from ulvspark.warehouse.lease import LOG, NAMES
from ulvspark.warehouse.lease.lease import COMMIT_SECONDS, LEASE_SECONDS, Lease, take
from ulvspark.warehouse.lease.places import place_of
from ulvspark.warehouse.lease.record import now
from ulvspark.warehouse.tables import Warehouse

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 20
CANCEL_SECONDS = 1

LOG_WAIT_SECONDS = 2 * LEASE_SECONDS
"""The lease ``log`` is held for seconds; a run that was killed in them keeps it until it expires."""


@contextmanager
def leases_held(
    warehouse: Warehouse, names: Collection[str], run_id: str, wait_seconds: float
) -> Iterator[dict[str, Lease]]:
    """Hold the leases ``names`` while the block runs; each write to ``warehouse`` in it is checked before.

    Raises RetryableError where one is held for longer than ``wait_seconds``, or was lost.
    """
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(_lease_held(warehouse, name, run_id, wait_seconds))
            for name in NAMES
            if name in names
        }


@contextmanager
def log_held(warehouse: Warehouse, run_id: str) -> Iterator[None]:
    """Hold the lease ``log`` for the few seconds of a block that appends to what all jobs write."""
    with _lease_held(warehouse, LOG, run_id, LOG_WAIT_SECONDS):
        yield


def live_runs(warehouse: Warehouse) -> set[str]:
    """The ids of the runs that have a lease at this moment."""
    place = place_of(warehouse)
    there = (place.read(name) for name in NAMES)
    return {each[0].owner for each in there if each is not None and each[0].owner and each[0].is_held(now())}


@contextmanager
def _lease_held(warehouse: Warehouse, name: str, run_id: str, wait_seconds: float) -> Iterator[Lease]:
    lease = take(place_of(warehouse), name, run_id, wait_seconds)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew_until, args=(ended, lease, warehouse), name=f"lease {name}", daemon=True)
    renewing.start()
    try:
        with warehouse.checked_by(lease.check):
            yield lease
    except Exception as error:
        if lease.is_lost and not isinstance(error, EXPECTED_ENDS):
            # What the run's jobs say when they are cancelled.
            raise lease.lost_error() from error
        raise
    finally:
        ended.set()
        renewing.join()
        lease.give_back()


def _renew_until(ended: threading.Event, lease: Lease, warehouse: Warehouse) -> None:
    """Renew a lease until ``ended``. One that cannot be renewed in time is lost, and the jobs under way are cancelled.

    A query that takes longer than the lease could otherwise commit when somebody else has it.
    """
    while not ended.wait(HEARTBEAT_SECONDS):
        try:
            lease.renew()
        except Exception as error:
            logger.warning("the lease %s was not renewed (%s)", lease.name, error)
        if lease.is_lost or lease.seconds_left() < COMMIT_SECONDS:
            lease.is_lost = True
            logger.error("%s", lease.lost_error())
            # Again and again: what the run was about to start when the lease was lost is not there to be cancelled yet.
            while True:
                warehouse.spark.sparkContext.cancelAllJobs()
                if ended.wait(CANCEL_SECONDS):
                    return
