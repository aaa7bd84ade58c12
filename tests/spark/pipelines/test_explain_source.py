"""``load_source --explain``: rows as they would be loaded, reasons, what is left unmapped; and nothing written."""

from jobs.load_source import main
from tests.spark.source_files import COLUMNS, row, source, write, write_yaml


def test_a_mapping_is_explained_and_nothing_is_written(spark, tmp_path, capsys):
    rows = [row(line=str(number)) for number in range(7)] + [row(line="7", customer=None), row(line="8", price="cheap")]
    write(tmp_path / "in", rows, "lines.csv")
    facts = {"format": "csv", "path": "lines.csv"}
    content = source(COLUMNS, users={"read": facts, "columns": {"user_id": "customer"}, "latest_by": "line"})
    content["events"][0]["read"] = facts
    before = sorted(tmp_path.rglob("*"))
    given = {
        "source": write_yaml(tmp_path / "shop.yaml", content), "source-root": tmp_path / "in",
        "warehouse": tmp_path / "warehouse", "clock": "2024-06-01T00:00:00",
    }  # fmt: skip
    assert main([*(f"--{name}={value}" for name, value in given.items()), "--explain"]) == 0
    said = capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "shop.yaml"])

    assert "shop: up to 10,000 rows of each source table; nothing is written" in said
    assert "events: 7 of 9 rows would be loaded\n  missing_user: 1\n  unparsable_unit_price: 1\n" in said
    (users,) = [line for line in said.splitlines() if line.startswith("user_id")][:1]
    assert users.split() == ["user_id", *["ann"] * 5]
    assert "  no expression for: order_id, list_price, amount, text" in said
    assert "products: not mapped" in said
    assert "users: 1 of 9 rows would be loaded" in said
    assert said.rstrip().endswith("lines.csv: no expression uses money")
