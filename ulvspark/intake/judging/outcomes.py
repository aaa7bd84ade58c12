"""What became of the rows of each source table: loaded, quarantined and why, and what was noted on the loaded ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Row

from ulvspark.intake.judging.notes import by_name
from ulvspark.intake.judging.quarantine import IGNORED


@dataclass(frozen=True)
class TableOutcome:
    """The rows of one source table, or of several of one contract table, in numbers."""

    target: str
    """The contract table."""
    source_table: str
    good: int
    bad: dict[str, int]
    """Reason of quarantine -> rows."""
    ignored: dict[str, int]
    """One of ``quarantine.IGNORED`` -> rows."""
    notes: dict[str, int]
    """Note (``intake.notes``) -> good rows."""

    @property
    def rows(self) -> int:
        return self.good + self.quarantined + sum(self.ignored.values())

    @property
    def quarantined(self) -> int:
        return sum(self.bad.values())

    @property
    def place(self) -> str:
        return f"{self.target} from {self.source_table}"


def by_source_table(rows: Iterable[Row], tables: Sequence[tuple[str, str]]) -> list[TableOutcome]:
    """From rows of ``checked_rows.count_outcomes``; ``tables`` are all (target, source table): one may have no rows."""
    listed = list(rows)
    return [
        _outcome(target, table, [each for each in listed if (each.target, each.source_table) == (target, table)])
        for target, table in tables
    ]


def _outcome(target: str, source_table: str, rows: Sequence[Row]) -> TableOutcome:
    counts = {each.outcome: int(each.rows) for each in rows}
    return TableOutcome(
        target,
        source_table,
        counts.pop(None, 0),
        {reason: number for reason, number in sorted(counts.items()) if reason not in IGNORED},
        {reason: number for reason, number in counts.items() if reason in IGNORED},
        next((by_name(target, each.notes) for each in rows if each.outcome is None), {}),
    )


def together(outcomes: Sequence[TableOutcome], target: str) -> TableOutcome:
    """The rows of all source tables of a contract table."""
    parts = [each for each in outcomes if each.target == target]
    return TableOutcome(
        target,
        ", ".join(each.source_table for each in parts),
        sum(each.good for each in parts),
        _sum([each.bad for each in parts]),
        _sum([each.ignored for each in parts]),
        _sum([each.notes for each in parts]),
    )


def _sum(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = sorted({name for each in counts for name in each})
    return {name: sum(each.get(name, 0) for each in counts) for name in names}
