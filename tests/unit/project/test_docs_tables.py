"""docs/tables.md describes the tables, columns, types, statuses and reasons that the code has."""

import re

import pytest

from tests.unit.project.pages import ROOT, prose, rows, section
from ulvspark.contract import schema
from ulvspark.contract.spec import HistorySpec
from ulvspark.intake.judging import quarantine

PAGE = ROOT / "docs/tables.md"
SOURCES = ROOT / "docs/sources.md"
TABLES = {table.name: table for table in vars(schema).values() if isinstance(table, schema.Table)}


def described(table: str) -> list[tuple[str, str, bool]]:
    """Name, type and whether it is never null (a star), of each column in the page's section of a table."""
    columns, _, _ = section(PAGE, table).partition("\n### ")
    return [(name.strip("`*"), kind.strip("`"), name.endswith("*")) for name, kind, _ in rows(columns)]


def test_every_table_has_its_section():
    headings = set(re.findall(r"^## (\w+)$", prose(PAGE), re.M))
    assert headings == {*TABLES, schema.TRAINING_SET}


@pytest.mark.parametrize("name", sorted(TABLES.keys() - {schema.SCORES_HISTORY.name}))
def test_columns_and_types(name):
    assert described(name) == [(column.name, column.type, column.required) for column in TABLES[name].columns]


def test_both_score_tables_have_the_same_columns():
    assert schema.SCORES.columns == schema.SCORES_HISTORY.columns, "describe both"
    assert rows(section(PAGE, schema.SCORES_HISTORY.name)) == []


def test_numbers_and_labels_of_the_training_set():
    named = set(re.findall(r"`(\w+)`", section(PAGE, schema.TRAINING_SET)))
    columns = {"run_id", "user_id", "as_of_date", "history", "history_hash", *(label.name for label in schema.LABELS)}
    assert named >= columns | set(HistorySpec().numbers)


def test_statuses():
    named = {row[0].strip("`") for row in rows(section(PAGE, schema.SCORES.name).partition("### Status")[2])}
    assert named == {value for name, value in vars(schema).items() if name.startswith("STATUS_")}


def test_reasons_of_quarantine():
    reasons = {
        value
        for name, value in vars(quarantine).items()
        if name.isupper() and isinstance(value, str) and not name.startswith("_")
    } - set(quarantine.IGNORED)
    table = section(SOURCES, "Rows that are not loaded")
    assert {row[0].strip("`").removesuffix("COLUMN") for row in rows(table)} == reasons
