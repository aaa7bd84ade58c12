"""Publishing: each published table changes as a whole, and another one is one entry."""

from dataclasses import replace
from datetime import date, timedelta

from ulvspark.contract.schema import Column, Table
from ulvspark.warehouse.publish import publish

DAY = date(2026, 3, 1)
COLUMNS = (Column("user_id", "STRING", True), Column("as_of_date", "DATE", True), Column("worth", "INT"))
NEWEST = Table("newest", COLUMNS, key=("user_id",))
EVERY_DATE = Table("every_date", COLUMNS, key=("user_id", "as_of_date"), partition=("as_of_date",))


def scores(spark, day, worth):
    return spark.createDataFrame([("ann", day, worth)], NEWEST.ddl)


def rows(warehouse, table):
    return sorted((row.as_of_date, row.worth) for row in warehouse.read(table.name).collect())


def test_a_table_holds_every_date_or_the_newest(spark, warehouse):
    tables = (EVERY_DATE, NEWEST)
    for day, worth in ((DAY, 1), (DAY + timedelta(days=1), 2), (DAY, 3)):
        written = publish(warehouse, scores(spark, day, worth), day, tables)
    assert written.keys() == {"every_date"}, "a date of the past does not replace a newer one"
    assert rows(warehouse, EVERY_DATE) == [(DAY, 3), (DAY + timedelta(days=1), 2)]
    assert rows(warehouse, NEWEST) == [(DAY + timedelta(days=1), 2)]


def test_another_published_table_is_one_entry(spark, warehouse):
    shadow = replace(NEWEST, name="shadow")
    written = publish(warehouse, scores(spark, DAY, 1), DAY, (EVERY_DATE, NEWEST, shadow))
    assert written == {name: warehouse.version(name) for name in ("every_date", "newest", "shadow")}
    assert rows(warehouse, shadow) == [(DAY, 1)]
