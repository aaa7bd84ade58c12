"""The cases: which jobs start together, how they have to end, and what must be in the tables then."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from tests.spark import shop
from tests.spark.source_files import row, source, write, write_yaml
from ulvspark.warehouse.tables import Warehouse

NIGHT = shop.AS_OF + timedelta(days=1)
"""The date of the first night of each case; the warehouse was scored as of the day before."""
USERS = len(shop.SHOPPERS) + len(shop.STRANGERS)
LINES = [row(line=str(number), customer=f"c{number % 7}") for number in range(40)]

Program = tuple[str, str, list[str]]
"""A name, a job, and its arguments."""


@dataclass(frozen=True)
class Case:
    """Jobs at the same time."""

    name: str
    programs: Sequence[Program]
    codes: Sequence[int]
    """How the jobs end, sorted."""
    check: Callable[[Warehouse], None]


@dataclass(frozen=True)
class Shop:
    """A made-up shop for the cases: its warehouse, a model store, and a folder for files."""

    warehouse: str
    models: str
    score_config: Path
    folder: Path

    def score(self, name: str, as_of: date, *more: str) -> Program:
        """A night."""
        options = {"as-of": as_of, "warehouse": self.warehouse, "models": self.models, "config": self.score_config}
        return name, "score_users", [*(f"--{key}={value}" for key, value in options.items()), *more]

    def load(self, name: str, *more: str, warehouse: str | None = None) -> Program:
        """A load of the lines into ``warehouse``."""
        write(self.folder / "in", LINES)
        options = {
            "source": write_yaml(self.folder / "shop.yaml", source()), "source-root": self.folder / "in",
            "warehouse": warehouse or self.warehouse,
        }  # fmt: skip
        return name, "load_source", [*(f"--{key}={value}" for key, value in options.items()), *more]


def cases(made: Shop) -> list[Case]:
    """All cases but those with a kill; each goes on from the one before."""
    day = [NIGHT + timedelta(days=number) for number in range(8)]
    before = NIGHT - timedelta(days=2)
    wait = "--wait=600"
    empty = f"{made.warehouse}_empty"
    return [
        Case("the same date", [made.score("a", day[0]), made.score("b", day[0])], [0, 75], scored(day[0])),
        Case(
            "the same date, waiting", [made.score("a", day[1], wait), made.score("b", day[1], wait)], [0, 0],
            scored(day[1]),
        ),
        Case(
            "two dates, waiting", [made.score("newer", day[3], wait), made.score("older", day[2], wait)], [0, 0],
            scored(day[3], day[2]),
        ),
        Case(
            "a backfill beside tonight",
            [made.score("tonight", day[4], wait), made.score("backfill", before, wait)],
            [0, 0], scored(day[4], before),
        ),
        Case(
            "a load beside a night", [made.load("load"), made.score("night", day[5])], [0, 0],
            loaded_and_scored(day[5]),
        ),
        two_first_loads(made, empty),
        Case("two loads, waiting", [made.load("a", wait), made.load("b", wait)], [0, 0], loaded_and_scored(day[5])),
    ]  # fmt: skip


def two_first_loads(made: Shop, empty: str) -> Case:
    """Two loads of a warehouse that is not there yet."""
    programs = [made.load("a", warehouse=empty), made.load("b", warehouse=empty)]

    def check(warehouse: Warehouse) -> None:
        new = Warehouse(warehouse.spark, empty)
        assert new.read("events").count() == len(LINES)
        assert statuses(new) == {"done": 1, "failed": 1}

    return Case("two loads of an empty warehouse", programs, [0, 75], check)


def scored(newest: date, *others: date) -> Callable[[Warehouse], None]:
    """``ulv_scores`` holds ``newest`` alone, and the history every date once."""

    def check(warehouse: Warehouse) -> None:
        rows = warehouse.read("ulv_scores").select("user_id", "as_of_date").collect()
        assert {each.as_of_date for each in rows} == {newest}, "the newest date, and it alone"
        assert len({each.user_id for each in rows}) == len(rows) >= USERS
        history = warehouse.read("ulv_scores_history")
        dates = Counter(each.as_of_date for each in history.select("as_of_date").collect())
        few = {each for each in (newest, *others) if dates[each] < USERS}
        assert not few, f"users are missing on {few}"
        assert history.count() == history.dropDuplicates(["user_id", "as_of_date"]).count(), "nothing twice"
        published = warehouse.read("ulv_published").where("array_contains(map_keys(versions), 'ulv_scores')")
        last = published.orderBy("published_at", ascending=False).first()
        assert last.versions["ulv_scores"] <= warehouse.version("ulv_scores"), "a version to come was published"
        assert warehouse.read("ulv_scores", last.versions["ulv_scores"]).count() == len(rows), "other scores published"
        assert not statuses(warehouse)["started"], "a run has no end"
        left = [name for name in warehouse.names() if name.startswith("staging_") and _has_files(warehouse, name)]
        assert not left, f"staging tables are left: {left}"

    return check


def _has_files(warehouse: Warehouse, name: str) -> bool:
    """Whether there is a file in the folder of a table: some stores list a folder for a while after its last file."""
    path, files = warehouse._files(warehouse.location(name))
    return files.exists(path) and files.listFiles(path, True).hasNext()


def loaded_and_scored(newest: date) -> Callable[[Warehouse], None]:
    """Besides, each line of the source is in ``events`` once."""

    def check(warehouse: Warehouse) -> None:
        scored(newest)(warehouse)
        lines = warehouse.read("events").where("user_id LIKE 'c_'")
        assert (lines.count(), lines.select("event_id").distinct().count()) == (len(LINES), len(LINES))

    return check


def statuses(warehouse: Warehouse) -> Counter[str]:
    """How many runs have each status; none where no job has run yet."""
    if not warehouse.exists("ulv_runs"):
        return Counter()
    return Counter(each.status for each in warehouse.read("ulv_runs").select("status").collect())


def write_score_config(path: Path, content: dict) -> Path:
    """The night's configuration, with gates that a made-up shop passes."""
    path.write_text(json.dumps(content))
    return path
