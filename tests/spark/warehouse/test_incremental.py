"""A table made of others: what it says is what building it from nothing says, at the cost of what changed."""

import pytest
from pyspark.sql import functions as F

from ulvspark.contract.errors import RetryableError
from ulvspark.contract.schema import Column, Table
from ulvspark.warehouse.changes import change_feed, incremental
from ulvspark.warehouse.changes.incremental import DerivedTable, bring_up_to_date
from ulvspark.warehouse.pinned import pin

SALES = Table("sales", (Column("sale", "INT", True), Column("seller", "STRING"), Column("paid", "INT")), key=("sale",))
SELLERS = Table("sellers", (Column("seller", "STRING", True), Column("city", "STRING")), key=("seller",))
TOTALS = Table(
    "totals", (Column("seller", "STRING", True), Column("city", "STRING"), Column("paid", "BIGINT")), key=("seller",)
)


def totals(sales, sellers):
    paid = sales.groupBy("seller").agg(F.sum("paid").alias("paid"))
    return sellers.join(paid, "seller", "full").select(*TOTALS.names)


OF_SALES = DerivedTable(TOTALS, (SALES, SELLERS), totals, {"version": "1"})


@pytest.fixture
def shop(warehouse):
    return filled(warehouse)


def filled(place):
    for table in (SALES, SELLERS):
        place.ensure(table)
    people = [f"s{number:02d}" for number in range(40)]
    add(place, SALES, [(number, person, number) for number, person in enumerate(people)])
    add(place, SELLERS, [(person, "Leeds") for person in people])
    return place


def add(place, table, rows):
    place.append(place.spark.createDataFrame(rows, table.ddl), table.name)


def change(place, statement):
    place.spark.sql(statement.format(sales=place.identifier("sales"), sellers=place.identifier("sellers")))


def vacuum_all(place):
    unchecked = "spark.databricks.delta.retentionDurationCheck.enabled"
    place.spark.conf.set(unchecked, "false")
    change(place, "VACUUM {sales} RETAIN 0 HOURS")
    place.spark.conf.unset(unchecked)


def rows(frame):
    return sorted(map(tuple, frame.collect()))


def update(place, derived=OF_SALES):
    """How many sellers were computed. Whatever that took, the table holds what building it from nothing gives."""
    updated = bring_up_to_date(derived, pin(place, *derived.sources), "run")
    assert rows(place.read("totals", updated.version)) == rows(totals(place.read("sales"), place.read("sellers")))
    assert not place.exists("staging_totals_run")
    return updated.keys_built


@pytest.mark.parametrize("place", ["catalog"], indirect=True)
def test_only_what_changed_is_built(place):
    shop = filled(place)
    assert update(shop) == 40
    version = shop.version("totals")
    assert (update(shop), shop.version("totals")) == (0, version), "nothing happened, nothing is written"

    change(shop, "UPDATE {sales} SET seller = 's02' WHERE seller = 's01'")
    change(shop, "DELETE FROM {sales} WHERE seller = 's03'")
    change(shop, "DELETE FROM {sellers} WHERE seller = 's03'")
    add(shop, SALES, [(90, "new", 9)])
    assert update(shop) == 4, "who had a sale and who has it now, who is gone and who is new"
    assert {row[0] for row in rows(shop.read("totals"))} == {f"s{n:02d}" for n in range(40) if n != 3} | {"new"}


def test_all_is_built_where_there_is_no_telling_what_changed(shop, monkeypatch, caplog):
    assert update(shop) == 40
    other = DerivedTable(TOTALS, OF_SALES.sources, totals, {"version": "2"})
    assert update(shop, other) == 40

    add(shop, SALES, [(90, "s05", 9)])
    with monkeypatch.context() as later:
        later.setattr(change_feed, "DEFAULT_FILES_KEPT", "interval 0 days")
        assert update(shop, other) == 40, "the change feed may have been vacuumed"
    add(shop, SALES, [(91, "s05", 9)])
    with monkeypatch.context() as few:
        few.setattr(incremental, "REBUILD_ABOVE", 0.02)
        assert update(shop, other) == 40, "one seller in forty is more than two in a hundred"

    shop.delete("totals", F.col("seller") == "s07")
    assert update(shop, other) == 40, "someone else wrote to it"

    for feed in ("false", "true"):
        change(shop, f"ALTER TABLE {{sales}} SET TBLPROPERTIES (delta.enableChangeDataFeed = {feed})")
        add(shop, SALES, [(92, "s05", 9)])
        assert update(shop, other) == 40, "what was done while there was no feed is in none"
    add(shop, SALES, [(93, "s05", 9)])
    shop.set_properties("sales", {"delta.deletedFileRetentionDuration": "interval 1 hour"})
    assert update(shop, other) == 40, "files may be gone before a run has read them"
    shop.set_properties("sales", {"delta.deletedFileRetentionDuration": "interval 2 days"})

    change(shop, "UPDATE {sales} SET paid = 4 WHERE seller = 's08'")
    vacuum_all(shop)
    assert update(shop, other) == 40, "the change feed was vacuumed"
    assert "sales: files of its change feed are gone, as after a VACUUM" in caplog.text
    add(shop, SALES, [(94, "s05", 9)])
    assert update(shop, other) == 1, "the night after that goes on as ever"

    kept = rows(shop.read("sellers"))
    shop.drop("sellers")
    shop.ensure(SELLERS)
    add(shop, SELLERS, kept[:30])
    assert update(shop, other) == 40, "a table of that name was made anew, and is at the version it was at"


def test_a_run_that_stopped_half_way_does_no_harm(shop, monkeypatch):
    update(shop)
    add(shop, SALES, [(90, "s05", 9)])
    with monkeypatch.context() as stopped:
        stopped.setattr("ulvspark.warehouse.changes.incremental.replace_rows", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bring_up_to_date(OF_SALES, pin(shop, SALES, SELLERS), "run")
    assert update(shop) == 1


def test_a_slower_run_is_told_to_run_again(shop):
    update(shop)
    add(shop, SALES, [(90, "s05", 9)])

    def overtaken(sales, sellers):
        add(shop, SALES, [(91, "s05", 9)])
        assert update(shop) == 1
        return totals(sales, sellers)

    slow = DerivedTable(TOTALS, OF_SALES.sources, overtaken, OF_SALES.layout)
    with pytest.raises(RetryableError, match=r"table totals: another job brought it up to date .*; run again"):
        bring_up_to_date(slow, pin(shop, SALES, SELLERS), "slow")
    assert update(shop) == 0, "what the faster one wrote is there"
