"""Publishing: each published table changes as a whole, the newer of two dates wins, and another table is one entry."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ulvspark.contract.errors import RetryableError
from ulvspark.contract.schema import Column, Table
from ulvspark.warehouse.publishing import publish as publishing
from ulvspark.warehouse.publishing.publish import publish, record_publication

DAY = date(2026, 3, 1)
NEXT = DAY + timedelta(days=1)
COLUMNS = (Column("user_id", "STRING", True), Column("as_of_date", "DATE", True), Column("worth", "INT"))
NEWEST = Table("newest", COLUMNS, key=("user_id",))
EVERY_DATE = Table("every_date", COLUMNS, key=("user_id", "as_of_date"), partition=("as_of_date",))
TABLES = (EVERY_DATE, NEWEST)


def scores(spark, day, worth):
    return spark.createDataFrame([("ann", day, worth)], NEWEST.ddl)


def rows(warehouse, table):
    return sorted((row.as_of_date, row.worth) for row in warehouse.read(table.name).collect())


def test_a_table_holds_every_date_or_the_newest(spark, place):
    for number, (day, worth) in enumerate(((DAY, 1), (NEXT, 2), (DAY, 3), (NEXT, 4))):
        written = publish(place, scores(spark, day, worth), day, number, TABLES)
        assert written.keys() == ({"every_date"} if worth == 3 else {"every_date", "newest"}), (
            "a past date is no newest"
        )
    assert rows(place, EVERY_DATE) == [(DAY, 3), (NEXT, 4)]
    assert rows(place, NEWEST) == [(NEXT, 4)]


def test_the_newer_date_wins_whichever_commits_last(spark, place, monkeypatch):
    """Both runs have looked at the date before either commits, as by chance of timing."""
    publish(place, scores(spark, DAY, 1), DAY, 1, TABLES)
    monkeypatch.setattr(publishing, "_newest_date", lambda *_: DAY)
    publish(place, scores(spark, NEXT, 2), NEXT, 3, TABLES)
    monkeypatch.undo()
    looked = iter([DAY, NEXT])
    monkeypatch.setattr(publishing, "_newest_date", lambda *_: next(looked))
    written = publish(place, scores(spark, DAY, 3), DAY, 2, TABLES)
    assert written.keys() == {"every_date"}
    assert rows(place, NEWEST) == [(NEXT, 2)]
    assert rows(place, EVERY_DATE) == [(DAY, 3), (NEXT, 2)]


def test_who_had_the_lease_before_cannot_replace_what_a_later_holder_published(spark, warehouse):
    publish(warehouse, scores(spark, DAY, 1), DAY, 7, TABLES)
    with pytest.raises(RetryableError, match=r"every_date of .* had scores of a later date or run before"):
        publish(warehouse, scores(spark, DAY, 2), DAY, 6, TABLES)
    assert rows(warehouse, EVERY_DATE) == rows(warehouse, NEWEST) == [(DAY, 1)]


def test_another_published_table_is_one_entry_and_versions_belong_together(spark, warehouse):
    shadow = replace(NEWEST, name="shadow")
    written = publish(warehouse, scores(spark, DAY, 1), DAY, 1, (EVERY_DATE, NEWEST, shadow))
    assert written == {name: warehouse.version(name) for name in ("every_date", "newest", "shadow")}
    assert rows(warehouse, shadow) == [(DAY, 1)]
    record_publication(warehouse, "night_1", "score_users", DAY, written)
    record_publication(warehouse, "night_2", "score_users", NEXT, {"every_date": 9})
    published = {row.run_id: row for row in warehouse.read("ulv_published").collect()}
    assert {name: (row.as_of_date, row.step, row.versions) for name, row in published.items()} == {
        "night_1": (DAY, "score_users", written), "night_2": (NEXT, "score_users", {"every_date": 9}),
    }  # fmt: skip
