"""What a load says about its source: what an operator should know, and what is so far off that nothing is loaded."""

from collections.abc import Mapping, Sequence
from statistics import median

from ulvspark.contract import schema
from ulvspark.contract.source.limits import Limits
from ulvspark.intake.judging import notes
from ulvspark.intake.judging.alike_ids import Alike
from ulvspark.intake.judging.outcomes import TableOutcome, together
from ulvspark.intake.judging.quarantine import AMOUNT_TOO_LARGE, DAMAGED, INEXACT, UNPARSABLE

LAST_LOADS = 7
"""A source table's rows are compared with the median of so many loads."""

NAMED_REASONS = 3

COUNTED_FROM = 0.1
"""Ids that are alike are looked for after a load of at least this share of all events: the first, and large ones."""

ENCODING_CURE = "say in which encoding the files are, such as `encoding: ISO-8859-1` under `read`"

CURES = {
    INEXACT: "a DOUBLE cannot tell such ids apart; map them without a cast to DOUBLE, and where the source table holds "
    "doubles, CAST the ids AS BIGINT or STRING where that table is made",
    DAMAGED: ENCODING_CURE,
    UNPARSABLE: "the value does not fit the column's type; correct the expression in `columns`",
    AMOUNT_TOO_LARGE: "raise `limits: {largest_amount: ...}` only where such amounts are right",
}
"""What to do about reasons of quarantine, by how they begin."""


def refusals(outcomes: Sequence[TableOutcome], limits: Limits, last_rows: Mapping[str, Sequence[int]]) -> list[str]:
    """Why nothing may be loaded: a sentence each, none for a load as it should be.

    ``last_rows`` are the rows of the last loads of a source table, by ``TableOutcome.place``: empty the first time. A
    table that is not there, such as one of which only what is new was read, is not compared.
    """
    tables = [together(outcomes, table.name) for table in (schema.EVENTS, schema.PRODUCTS, schema.USERS)]
    too_bad = [_too_many_quarantined(table, getattr(limits.quarantined_share, table.target)) for table in tables]
    too_coarse = [sentence for each in outcomes for sentence in _too_much_lost(each, limits.lost_precision_share)]
    fewer = _fewer_rows(outcomes, limits, last_rows) if limits.refuse_fewer_rows else []
    return [sentence for sentence in (*too_bad, *too_coarse, *fewer) if sentence]


def warnings(outcomes: Sequence[TableOutcome], limits: Limits, last_rows: Mapping[str, Sequence[int]]) -> list[str]:
    """What an operator should know of a load, a sentence each."""
    noted = [sentence for each in outcomes for sentence in (*_cures(each), *_lost(each), *_damaged(each), *_made(each))]
    return [*_fewer_rows(outcomes, limits, last_rows), *noted]


def alike_warnings(column: str, alike: Alike) -> list[str]:
    """What to say of ids that are alike, nothing where there are none."""
    if not alike.ids:
        return []
    return [
        f"{alike.ids:,} different {column}s are {alike.things:,} if upper and lower case and forms of Unicode are the "
        "same; where they are, say `ids: {case: lower}` or `ids: {unicode: NFC}`"
    ]


def _too_many_quarantined(table: TableOutcome, allowed: float) -> str | None:
    if not table.rows or table.quarantined <= allowed * table.rows:
        return None
    most = sorted(table.bad.items(), key=lambda reason: -reason[1])[:NAMED_REASONS]
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in most)
    return (
        f"{table.place}: {table.quarantined:,} of {table.rows:,} rows would be quarantined ({reasons}), allowed is a "
        f"share of {allowed:g}; correct the mapping, leave such rows out with `filter`, or raise "
        f"`limits: {{quarantined_share: {{{table.target}: ...}}}}`"
    )


def _too_much_lost(table: TableOutcome, allowed: float) -> list[str]:
    return [
        f"{sentence}; allowed is a share of {allowed:g} of the rows (`limits: {{lost_precision_share: ...}}`)"
        for sentence, number in _lost_by_column(table)
        if number > allowed * table.good
    ]


def _fewer_rows(outcomes: Sequence[TableOutcome], limits: Limits, last_rows: Mapping[str, Sequence[int]]) -> list[str]:
    sentences = []
    for table in (each for each in outcomes if each.place in last_rows):
        usual = median(last_rows[table.place] or [0])
        if not table.rows:
            sentences.append(f"{table.place}: there is no row; see whether the extract is complete")
        elif table.rows < limits.fewest_rows * usual:
            sentences.append(
                f"{table.place}: {table.rows:,} rows, where the last loads had {usual:,.0f}; see whether the extract "
                f"is complete, or lower `limits: {{fewest_rows: {limits.fewest_rows:g}}}`"
            )
    return sentences


def _cures(table: TableOutcome) -> list[str]:
    return [
        f"{table.place}: {reason} in {number:,} rows: {cure}"
        for reason, number in table.bad.items()
        for beginning, cure in CURES.items()
        if reason.startswith(beginning)
    ]


def _lost(table: TableOutcome) -> list[str]:
    return [sentence for sentence, _ in _lost_by_column(table)]


def _lost_by_column(table: TableOutcome) -> list[tuple[str, int]]:
    return [
        (
            f"{table.place}: {column} loses digits in {number:,} of {table.good:,} rows, since four behind the point "
            "are kept; map it in another unit (the price of 1000 pieces, and quantity / 1000)",
            number,
        )
        for column, number in _about(table, notes.LOST_PRECISION)
    ]


def _damaged(table: TableOutcome) -> list[str]:
    return [
        f"{table.place}: {column} has U+FFFD in place of letters in {number:,} rows; {ENCODING_CURE}"
        for column, number in _about(table, notes.DAMAGED)
    ]


def _about(table: TableOutcome, prefix: str) -> list[tuple[str, int]]:
    return [(note.removeprefix(prefix), count) for note, count in table.notes.items() if note.startswith(prefix)]


def _made(table: TableOutcome) -> list[str]:
    made = table.notes.get(notes.MADE_ID, 0)
    if not made:
        return []
    return [
        f"{table.place}: {made:,} of {table.good:,} events have no event_id, so their ids are made of their content, "
        "and a corrected row will be another event beside the first; map an event_id if there is one"
    ]
