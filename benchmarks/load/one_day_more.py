"""Adds a day to a simulated platform: as many events as an average day of it has, the day after the newest.

    python -m benchmarks.load.one_day_more DIR

Prints the number of its events.
"""

import argparse
from collections.abc import Sequence

from pyspark.sql import functions as F

from ulvspark.contract.schema import EVENTS
from ulvspark.warehouse.session import get_session

DAY_MICROS = 86_400 * 10**6


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    session = get_session("one_day_more", args.source)
    path = f"{args.source}/{EVENTS.name}"
    events = session.read.format("delta").load(path)
    time = F.unix_micros("event_time")
    number, first, last = events.agg(F.count("*"), F.min(time), F.max(time)).collect()[0]
    days = 1 + (last - first) // DAY_MICROS
    new_day = (last // DAY_MICROS + 1) * DAY_MICROS
    chosen = events.where(F.pmod(F.xxhash64("event_id"), F.lit(days)) == 0)
    moved = chosen.withColumns(
        {
            "event_time": F.timestamp_micros(F.lit(new_day) + time % DAY_MICROS),
            "event_id": F.concat("event_id", F.lit(f"-{new_day}")),
            "order_id": F.concat("order_id", F.lit(f"-{new_day}")),
        }
    )
    moved.coalesce(1).write.format("delta").mode("append").save(path)
    print(f"{session.read.format('delta').load(path).count() - number:,} events more")
    session.stop()
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="benchmarks.load.one_day_more", description=(__doc__ or "").splitlines()[0])
    command.add_argument("source", help="the folder that jobs/simulate.py wrote")
    return command


if __name__ == "__main__":
    raise SystemExit(main())
