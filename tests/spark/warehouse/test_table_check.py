"""Tables as other tools or releases leave them are told of before a job reads or writes them."""

import pytest

from ulvspark.contract import schema
from ulvspark.contract.errors import ExpectedError
from ulvspark.scoring.tiers import TIERS_BY_DATE
from ulvspark.warehouse.runs.table_check import check_tables
from ulvspark.warehouse.tables import Warehouse

INPUTS = (schema.EVENTS, schema.PRODUCTS, schema.USERS)
ALL_TABLES = (
    *INPUTS, schema.QUARANTINE, schema.RUNS, schema.POPULATIONS, schema.TEXT_VECTORS, schema.USER_VECTORS,
    schema.SCORES, schema.SCORES_HISTORY,
)  # fmt: skip


@pytest.fixture(scope="module")
def odd(spark, tmp_path_factory):
    """A warehouse in which somebody has changed every table but quarantine."""
    warehouse = Warehouse(spark, str(tmp_path_factory.mktemp("odd")))
    make(warehouse, schema.EVENTS, {"text": None, "amount": "DECIMAL(20,4)", "note": "STRING"})
    make(warehouse, schema.PRODUCTS, {"title": "STRING NOT NULL"})
    make(warehouse, schema.USERS, {"attributes": "MAP<STRING, INT>", "Signup": "DATE", "signup": None})
    make(warehouse, schema.SCORES, {"churn_probability": "FLOAT", "expected_orders": None, "Note": "STRING"})
    changes = {"churn_probability": "STRING", "horizon_days": "BIGINT", "expected_orders": None}
    make(warehouse, schema.SCORES_HISTORY, changes, partition=None)
    make(warehouse, schema.RUNS, {"metrics": None, "ticket": "STRING"})
    make(warehouse, schema.POPULATIONS, {"users": None})
    return warehouse


def make(warehouse, table, changes, partition="as_of_date"):
    """``table`` with other types, without the columns whose type is None, and with columns of somebody's own."""
    types = {column.name: column.type for column in table.columns} | changes
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items() if kind is not None)
    by = f"PARTITIONED BY ({partition})" if table.partition and partition else ""
    warehouse.spark.sql(f"CREATE TABLE {warehouse.identifier(table.name)} ({columns}) USING delta {by}")


def told(warehouse, **tables):
    with pytest.raises(ExpectedError) as caught:
        check_tables(warehouse, **tables)
    sentence = str(caught.value)
    assert sentence.startswith(f"warehouse {warehouse.root}: table ")
    return sentence


def test_what_a_job_reads_has_every_column_in_its_type(odd):
    assert [part.partition(";")[0] for part in told(odd, read=INPUTS).split("table ")[1:] if "column" in part] == [
        "events, column amount is DECIMAL(20,4) instead of DECIMAL(18,4)",
        "events, column text is missing",
        "users, column attributes is MAP<STRING,INT> instead of MAP<STRING, STRING>",
    ]
    check_tables(odd, read=(schema.PRODUCTS,))
    check_tables(odd, read=(schema.EVENTS.only("event_id", "quantity"), TIERS_BY_DATE))


def test_what_is_merged_into_has_no_other_columns_either_and_takes_nulls(odd):
    sentence = told(odd, merged=INPUTS)
    assert "events, column text is missing; restore it, or move the table away" in sentence
    assert "events, column note is not one of ulvspark's, whose writes would lose its values; move it to" in sentence
    assert "products, column title takes no null; run ALTER TABLE with ALTER COLUMN title DROP NOT NULL" in sentence
    assert "signup" not in sentence, "Delta does not mind capitals"


def test_what_is_replaced_as_a_whole_or_by_date_loses_nobodys_column(odd):
    sentence = told(odd, replaced=(schema.SCORES_HISTORY, schema.SCORES))
    for part in (
        "ulv_scores, column churn_probability is FLOAT instead of DOUBLE; write the table again with that type",
        "ulv_scores, column Note is not one of ulvspark's",
        "ulv_scores_history, column churn_probability is STRING instead of DOUBLE",
        "ulv_scores_history, column horizon_days is BIGINT instead of INT",
        "ulv_scores_history is partitioned by nothing instead of as_of_date",
    ):
        assert part in sentence
    assert "expected_orders" not in sentence, "the next write adds it"


def test_what_is_added_to_keeps_what_somebody_added_and_gets_what_is_new(odd):
    assert told(odd, added_to=(schema.RUNS, schema.POPULATIONS)).endswith(
        "table populations, column users is missing; restore it, or move the table away and run the job that writes it"
    )
    check_tables(odd, added_to=(schema.RUNS,))


def test_tables_that_ulvspark_made_or_that_are_not_there_are_fine(spark, tmp_path):
    warehouse = Warehouse(spark, str(tmp_path / "new"))
    for table in ALL_TABLES[::2]:
        warehouse.ensure(table)
    for use in ("read", "added_to", "merged", "replaced"):
        check_tables(warehouse, **{use: ALL_TABLES})
