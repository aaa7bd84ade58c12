"""A table made of others: what it says is what building it from nothing says, at the cost of what changed."""

import pytest
from pyspark.sql import functions as F

from ulvspark.contract.schema import Column, Table
from ulvspark.warehouse import derived, tables
from ulvspark.warehouse.derived import Derived, bring_up_to_date

SALES = Table("sales", (Column("sale", "INT", True), Column("seller", "STRING"), Column("paid", "INT")), key=("sale",))
SELLERS = Table("sellers", (Column("seller", "STRING", True), Column("city", "STRING")), key=("seller",))
TOTALS = Table(
    "totals", (Column("seller", "STRING", True), Column("city", "STRING"), Column("paid", "BIGINT")), key=("seller",)
)


def totals(sales, sellers):
    paid = sales.groupBy("seller").agg(F.sum("paid").alias("paid"))
    return sellers.join(paid, "seller", "full").select(*TOTALS.names)


OF_SALES = Derived(TOTALS, (SALES.name, SELLERS.name), totals, {"version": "1"})


@pytest.fixture
def shop(place):
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


def told(frame):
    return sorted(map(tuple, frame.collect()))


def update(place, of=OF_SALES):
    """How many sellers were looked at. Whatever that took, the table holds what building it from nothing gives."""
    found = bring_up_to_date(place, of, "run")
    assert found.sources == {name: place.version(name) for name in of.sources}
    assert told(place.read("totals", found.version)) == told(totals(place.read("sales"), place.read("sellers")))
    assert not place.exists("staging_totals_run")
    return found.built


def test_only_what_changed_is_built(shop):
    assert update(shop) == 40
    version = shop.version("totals")
    assert (update(shop), shop.version("totals")) == (0, version), "nothing happened, nothing is written"

    change(shop, "UPDATE {sales} SET seller = 's02' WHERE seller = 's01'")
    assert update(shop) == 2, "both who had a sale and who has it now"
    change(shop, "DELETE FROM {sales} WHERE seller = 's03'")
    change(shop, "DELETE FROM {sellers} WHERE seller IN ('s03', 's04')")
    add(shop, SALES, [(90, "new", 9)])
    add(shop, SALES, [(91, "new", 9)])
    assert update(shop) == 3, "s03 is gone"
    assert {row[0] for row in told(shop.read("totals"))} == {f"s{n:02d}" for n in range(40) if n != 3} | {"new"}


@pytest.mark.parametrize("why", ["layout", "made anew", "forgotten", "much"])
def test_all_is_built_where_there_is_no_telling_what_changed(shop, why, monkeypatch):
    assert update(shop) == 40
    add(shop, SALES, [(90, "s05", 9)])
    of = OF_SALES
    if why == "layout":
        of = Derived(TOTALS, of.sources, totals, {"version": "2"})
    elif why == "made anew":
        kept = told(shop.read("sellers"))
        shop.drop("sellers")
        shop.ensure(SELLERS)
        add(shop, SELLERS, kept[:30])
    elif why == "forgotten":
        monkeypatch.setattr(tables, "FILES_KEPT", "INTERVAL 0 DAYS")
    else:
        monkeypatch.setattr(derived, "MANY", 0.02)
    assert update(shop, of) == (30 + 10 if why == "made anew" else 40)


def test_a_run_that_stopped_half_way_does_no_harm(shop, monkeypatch):
    update(shop)
    add(shop, SALES, [(90, "s05", 9)])
    with monkeypatch.context() as stopped:
        stopped.setattr(shop, "set_properties", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            update(shop)
    assert update(shop) == 1
