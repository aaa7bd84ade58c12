"""Loads tables as one would otherwise write it: read, drop repeated keys, and MERGE into Delta by the key.

    python -m benchmarks.load.usual_load --source DIR --format delta --warehouse DIR

Nothing is checked, mapped, quarantined or stamped, and each load reads the whole source. Both sides run on the same
Spark session settings.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from delta.tables import DeltaTable

from ulvspark.contract.schema import EVENTS, PRODUCTS, USERS
from ulvspark.warehouse.session import get_session


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    session = get_session("usual_load", args.warehouse, (args.source, args.warehouse))
    for table in (PRODUCTS, USERS, EVENTS):
        (key,) = table.key
        path = next(Path(args.source).glob(f"{table.name}*"))
        rows = session.read.format(args.format).load(str(path)).dropDuplicates([key])
        target = f"{Path(args.warehouse).absolute()}/{table.name}"
        if not DeltaTable.isDeltaTable(session, target):
            rows.write.format("delta").save(target)
            continue
        merge = DeltaTable.forPath(session, target).alias("t").merge(rows.alias("s"), f"t.{key} = s.{key}")
        differs = " OR ".join(f"NOT t.{name} <=> s.{name}" for name in rows.columns)
        merge.whenMatchedUpdateAll(differs).whenNotMatchedInsertAll().execute()
    session.stop()
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="benchmarks.load.usual_load", description=(__doc__ or "").splitlines()[0])
    command.add_argument("--source", required=True, help="a folder with events, products and users")
    command.add_argument("--format", required=True, choices=("delta", "parquet"))
    command.add_argument("--warehouse", required=True, help="a local folder")
    return command


if __name__ == "__main__":
    raise SystemExit(main())
