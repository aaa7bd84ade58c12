"""Leases in a folder and on a real S3 server: one holder at a time, whoever is killed, late or without a network."""

import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ulvspark.contract.errors import ExpectedError, RetryableError
from ulvspark.warehouse.lease.folder import FolderPlace
from ulvspark.warehouse.lease.lease import COMMIT_SECONDS, LEASE_SECONDS, Lease, take
from ulvspark.warehouse.lease.record import Place, Record
from ulvspark.warehouse.lease.s3 import S3Place

NAME = "scores"


@dataclass
class FakeClock:
    """Goes only when somebody sleeps."""

    at: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


class CutOff:
    """A place that can be reached only while ``is_reached``; it may also answer too late, having written."""

    def __init__(self, place: Place) -> None:
        self.root, self.place, self.is_reached, self.answers = place.root, place, True, True

    def read(self, name: str) -> tuple[Record, str] | None:
        self._reach()
        return self.place.read(name)

    def swap(self, name: str, record: Record, tag: str | None) -> str | None:
        self._reach()
        new = self.place.swap(name, record, tag)
        return new if self.answers else None

    def _reach(self) -> None:
        if not self.is_reached:
            raise RetryableError("cannot reach the store")


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return FolderPlace(str(tmp_path / "warehouse"))
    return S3Place(request.getfixturevalue("s3_bucket").replace("s3://", "s3a://"), {})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def taken(place: Place, owner: str, clock: FakeClock, wait: float = 0) -> Lease:
    return take(place, NAME, owner, wait, clock, clock.sleep)


def test_one_holder_and_a_sentence_for_everyone_else(place: Place, clock: FakeClock) -> None:
    first = taken(place, "night_1", clock)
    said = (
        rf"the lease `scores` of warehouse {place.root} is held by run night_1 on \S+ since 2027-01-15 08:00:00 UTC; "
        r"run again .* --wait SECONDS \(if it was killed, the lease is free from 2027-01-15 08:03:00 UTC on\)"
    )
    with pytest.raises(RetryableError, match=said):
        taken(place, "night_2", clock)
    with pytest.raises(RetryableError, match=r"held after 2\.5 s of waiting by run night_1"):
        taken(place, "night_2", clock, wait=2.5)
    assert clock.slept == [1.0, 1.0, 0.5]
    first.check()
    assert take(place, "inputs", "load_1", 0, clock).number == int(clock.at), "another lease is another matter"
    first.give_back()
    second = taken(place, "night_2", clock)
    assert second.number > first.number
    with pytest.raises(RetryableError, match="has lost the lease"):
        first.check()
    second.check()


def test_waiting_ends_when_the_holder_does(place: Place, clock: FakeClock) -> None:
    first = taken(place, "night_1", clock)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.slept) == 3:
            first.give_back()

    assert take(place, NAME, "night_2", 60, clock, sleep).number > first.number
    assert clock.slept == [1.0] * 3


def test_a_holder_that_is_alive_keeps_the_lease_as_long_as_it_renews(place: Place, clock: FakeClock) -> None:
    first = taken(place, "night_1", clock)
    for _ in range(5):
        clock.sleep(LEASE_SECONDS - 1)
        first.renew()
    with pytest.raises(RetryableError, match="is held by run night_1"):
        taken(place, "night_2", clock)


def test_a_killed_holder_gives_way_and_cannot_commit_afterwards(place: Place, clock: FakeClock) -> None:
    first = taken(place, "night_1", clock)
    clock.sleep(LEASE_SECONDS)
    second = taken(place, "night_2", clock)
    for late in (first.check, first.renew):
        with pytest.raises(RetryableError, match=r"has lost the lease `scores` .* it publishes nothing more; run it"):
            late()
    first.give_back()
    second.check()
    second.give_back()
    third = taken(place, "night_2", clock)
    assert first.number < second.number < third.number, "each taking has a number of its own, of the same run too"
    with pytest.raises(RetryableError, match="has lost the lease"):
        second.check()


def test_no_commit_begins_with_little_time_left(place: Place, clock: FakeClock) -> None:
    cut_off = CutOff(place)
    lease = taken(cut_off, "night_1", clock)
    clock.sleep(LEASE_SECONDS - COMMIT_SECONDS + 1)
    lease.check()
    assert lease.seconds_left() == LEASE_SECONDS, "it was renewed first"
    cut_off.is_reached = False
    with pytest.raises(RetryableError, match="cannot reach the store"):
        lease.check()
    clock.sleep(LEASE_SECONDS)
    second = taken(place, "night_2", clock)
    cut_off.is_reached = True
    with pytest.raises(RetryableError, match="has lost the lease"):
        lease.check()
    second.check()


def test_a_store_that_answers_too_late_takes_nothing_away(place: Place, clock: FakeClock) -> None:
    slow = CutOff(place)
    slow.answers = False
    lease = taken(slow, "night_1", clock)
    clock.sleep(100)
    lease.renew()
    assert lease.seconds_left() == LEASE_SECONDS
    slow.answers = True
    lease.check()


def test_numbers_rise_even_where_the_records_were_removed(place: Place, clock: FakeClock, tmp_path: Path) -> None:
    for _ in range(3):
        lease = taken(place, "night", clock)
        lease.give_back()
    clock.sleep(5)
    assert taken(FolderPlace(str(tmp_path / "new")), "night", clock).number > lease.number


def test_of_many_that_come_at_once_one_gets_the_lease(place: Place, clock: FakeClock) -> None:
    """First where there is no record yet, then where one has expired; and a reader that is late cannot disturb."""
    for turn in range(3):
        late = place.read(NAME)

        def try_it(number: int, turn: int = turn) -> str | None:
            try:
                taken(place, f"night_{turn}_{number}", clock)
            except RetryableError:
                return None
            return f"night_{turn}_{number}"

        with ThreadPoolExecutor(8) as pool:
            winners = [name for name in pool.map(try_it, range(8)) if name]
        held = place.read(NAME)
        assert held is not None
        assert winners == [held[0].owner]
        assert place.swap(NAME, Record("late", "", 1, 0, 1), None if late is None else late[1]) is None
        assert place.read(NAME) == held
        clock.sleep(LEASE_SECONDS)


def test_a_generation_that_was_cleared_away_is_not_taken_again(tmp_path: Path, clock: FakeClock) -> None:
    place = FolderPlace(str(tmp_path))
    lease = taken(place, "night_1", clock)
    seen = place.read(NAME)
    for _ in range(3):
        lease.renew()
    assert seen is not None
    assert place.swap(NAME, Record("late", "", 1, 0, 1), seen[1]) is None
    lease.check()
    assert [file.name for file in sorted((tmp_path / "_leases").iterdir())] == ["scores.4.json"], "and nothing else"


def add_one(root: str, counter: str, times: int) -> None:
    """What a writer without any locks of its own does, under the lease."""
    place = FolderPlace(root)
    for turn in range(times):
        lease = take(place, NAME, f"writer_{os.getpid()}_{turn}", 60, sleep=lambda _: time.sleep(0.002))
        number = int(Path(counter).read_text())
        time.sleep(0.001)
        lease.check()
        Path(counter).write_text(str(number + 1))
        lease.give_back()


def test_processes_that_count_under_the_lease_lose_nothing(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    fresh = multiprocessing.get_context("spawn")
    writers = [fresh.Process(target=add_one, args=(str(tmp_path), str(counter), 10)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert counter.read_text() == "40"


def hold(root: str) -> None:
    take(FolderPlace(root), NAME, "killed")
    Path(root, "held").touch()
    signal.pause()


def test_a_process_that_was_killed_holds_the_lease_until_it_expires(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(str(tmp_path),))
    process.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    place = FolderPlace(str(tmp_path))
    with pytest.raises(RetryableError, match="is held by run killed"):
        take(place, NAME, "next")
    assert take(place, NAME, "next", clock=lambda: time.time() + LEASE_SECONDS).number > 0


def test_a_place_that_lets_nobody_in_is_no_matter_of_another_try(s3_bucket: str, monkeypatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ExpectedError, match="check AWS_SECRET_ACCESS_KEY"):
        S3Place(s3_bucket, {}).read(NAME)
    with pytest.raises(ExpectedError, match="NoSuchBucket"):
        S3Place("s3a://there-is-no-such-bucket/x", {"aws_secret_access_key": "only-for-tests",
                "aws_access_key_id": "tester"}).read(NAME)  # fmt: skip
