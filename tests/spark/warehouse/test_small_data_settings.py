"""What fits small data is chosen by the size of what is read; the results are those of the settings for large data."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from jobs import load_source, score_users
from tests.spark.pipelines.test_score_users import command_line, publish
from tests.spark.source_files import row, source, write, write_yaml
from ulvspark.contract.spec import NetworkSpec
from ulvspark.warehouse.fit_to_size import SMALL_DATA_SETTINGS
from ulvspark.warehouse.session import LAPTOP_SETTINGS
from ulvspark.warehouse.tables import Warehouse

LINES = [
    row(line=str(number), customer=f"c{number % 7}", sku=f"s{number % 5}", price=f"{1 + number % 9}.{number % 10}0",
        time=f"2024-0{1 + number % 3}-1{number % 7} 12:00:00", kind="return" if number % 11 == 3 else "purchase")
    for number in range(80)
] + [row(line="x", price="nonsense"), row(line="3", price="8.00"), row(line="y", customer="N/A")]  # fmt: skip
OF_A_RUN = {"ingested_at", "quarantined_at", "run_id", "scored_at"}


@contextmanager
def settings_for_large_data(spark) -> Iterator[None]:
    """Those of Spark itself, or of a session that starts here, that can be changed while it runs."""
    defaults = {
        "spark.sql.codegen.wholeStage": "true",
        "spark.sql.codegen.factoryMode": "FALLBACK",
        "spark.sql.constraintPropagation.enabled": "true",
        "spark.sql.lightweightPlanChangeValidation": "true",
        "spark.sql.leafNodeDefaultParallelism": "2",
    }
    names = [name for name in SMALL_DATA_SETTINGS if not name.startswith("spark.driver.")]
    before = {name: spark.conf.get(name) for name in names}
    assert before == {name: SMALL_DATA_SETTINGS[name] for name in names}, "tests run with the settings for small data"
    for name in names:
        spark.conf.set(name, LAPTOP_SETTINGS.get(name) or defaults[name])
    try:
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


def load_and_score(spark, folder: Path, models: str) -> dict[str, list[tuple]]:
    """What a load, a second one and a night leave in the tables, without what names the run."""
    folder.mkdir()
    warehouse = Warehouse(spark, str(folder / "warehouse"))
    for lines in (LINES[:60], LINES):
        write(folder / "in", lines)
        given = [f"--source={write_yaml(folder / 'shop.yaml', source())}", f"--source-root={folder / 'in'}"]
        assert load_source.main([*given, f"--warehouse={warehouse.root}", "--clock=2024-06-01T00:00:00"]) == 0
    assert score_users.main(command_line(folder, warehouse, models, date(2024, 4, 1))) == 0
    return {name: rows(warehouse, name) for name in ("events", "price_days", "quarantine", "ulv_scores")}


def rows(warehouse: Warehouse, name: str) -> list[tuple]:
    frame = warehouse.read(name)
    return sorted(map(tuple, frame.select(*sorted(set(frame.columns) - OF_A_RUN)).collect()), key=str)


def test_results_do_not_depend_on_the_settings(spark, tmp_path):
    network = NetworkSpec(unit="event", vector_size=16, hidden_size=8)
    models = publish(tmp_path / "models", network, "champion")
    small = load_and_score(spark, tmp_path / "small", models)
    with settings_for_large_data(spark):
        large = load_and_score(spark, tmp_path / "large", models)
    assert small == large
    assert [len(small[name]) for name in ("events", "quarantine", "ulv_scores")] == [80, 4, 7]
