"""Write a simulated platform's tables, and the truth behind them, as Delta tables; or add the days since."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ulvspark.contract.assignment import TREATMENT
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.storage.disk import full_disk_as_expected_error
from ulvspark.simulation import on_spark, truth
from ulvspark.simulation.block import LOOK_BACK, Block
from ulvspark.simulation.catalogue.pictures import picture_path, troubles, write_pictures
from ulvspark.simulation.catalogue.products import product_table, products
from ulvspark.simulation.catalogue.relations import brand_table, category_table, relation_table
from ulvspark.simulation.config import SimulationConfig
from ulvspark.warehouse.settings import CURRENCY
from ulvspark.warehouse.tables import CATALOG, CHANGE_FEED, Warehouse

JOB = "simulate"

UNTIL, CONFIGURATION = "ulvspark.simulated_until", "ulvspark.simulation"
"""Properties of the simulated events: the day that was reached, and a digest of the configuration."""


@dataclass(frozen=True)
class Span:
    """The days to simulate, counted from the start: from ``since``, 0 for all, to before ``end``."""

    since: int
    end: int


def simulate(
    tables: Warehouse, config: SimulationConfig, until: date | None = None, assignments: str | None = None
) -> dict[str, int]:
    """Write the platform as it is when the day ``until`` begins, ``config.end`` if not given; returns rows by table.

    Without ``until`` a simulation that is there is replaced, with it the days since are added to it. Offers are made to
    whom the Delta table at ``assignments`` names (user_id, offer, arm), on the first of the new days; without one, to
    all who are in the treatment arm by their hash, as the configuration says.

    Raises ExpectedError where ``tables`` is a warehouse, whose users would be replaced by made-up ones, where another
    configuration was simulated, where ``until`` was passed before, and where the disk is full.
    """
    span = _span(tables, config, until)
    rows: dict[str, int] = {}
    with full_disk_as_expected_error(f"simulating into {tables.root}", "some tables are new and others old until then"):
        exposed = _expose(tables, config, span, assignments)
        rows["products"] = _replace(tables, "products", _frame(tables, _products(config, span.end)))
        rows["users"] = _replace(tables, "users", on_spark.user_rows(tables.spark, config, span.end))
        if not span.since:
            rows |= _write_what_lasts(tables, config)
        known = on_spark.user_truth_rows(tables.spark, config, exposed, span.end)
        rows["truth/truth_users"] = _replace(_hidden(tables), "truth_users", known)
        if config.offers:
            effects = on_spark.offer_truth_rows(tables.spark, config, span.end)
            rows["truth/truth_offers"] = _replace(_hidden(tables), "truth_offers", effects)
        rows["events"] = _write_events(tables, config, exposed, span)
    return rows


def _span(tables: Warehouse, config: SimulationConfig, until: date | None) -> Span:
    """What is left to simulate."""
    if tables.root.startswith(CATALOG):
        raise ExpectedError(f"--out {tables.root} is a catalog; give a folder or an s3a:// address")
    there = tables.properties("events") if tables.exists("events") else {}
    if CURRENCY in there:
        raise ExpectedError(
            f"--out {tables.root} is a warehouse, whose users would be replaced by made-up ones; give another folder"
        )
    end = config.end if until is None else until
    if end <= config.start:
        raise ExpectedError(f"--until {end}: the platform begins on {config.start}; give a later date")
    if until is None or UNTIL not in there:
        return Span(0, config.day(end))
    reached = date.fromisoformat(there[UNTIL])
    if there.get(CONFIGURATION) != _digest(config):
        raise ExpectedError(
            f"--out {tables.root} holds a platform of another configuration; give that one to add days to it, or leave "
            "--until out to replace it"
        )
    if end <= reached:
        raise ExpectedError(f"--until {end}: {tables.root} was simulated until {reached}; give a later date")
    return Span(config.day(reached), config.day(end))


def _digest(config: SimulationConfig) -> str:
    """A hash of all of the configuration that shapes the days."""
    return sha256(config.model_dump_json(exclude={"days"}).encode()).hexdigest()[:16]


def _expose(tables: Warehouse, config: SimulationConfig, span: Span, assignments: str | None) -> DataFrame | None:
    """Write down who is exposed to offers on the new days; returns all exposures, None where there are no offers."""
    if not config.offers:
        return None
    first = config.start + timedelta(days=span.since)
    if assignments is None:
        new = on_spark.exposure_rows(tables.spark, config, span.since, span.end)
    else:
        new = _assigned(tables, config, assignments).withColumn("exposed_on", F.lit(first))
    if span.since:
        tables.overwrite(new, "exposures", where=f"exposed_on >= '{first}'")
    else:
        tables.overwrite(new, "exposures")
    return tables.read("exposures")


def _assigned(tables: Warehouse, config: SimulationConfig, assignments: str) -> DataFrame:
    """The users and offers of the treatment arm. Raises ExpectedError where an offer is none of the configuration."""
    folder, _, name = assignments.rstrip("/").rpartition("/")
    given = Warehouse(tables.spark, folder or ".").read(name)
    missing = {"user_id", "offer", "arm"} - set(given.columns)
    if missing:
        raise ExpectedError(f"--assignments {assignments} lacks {', '.join(sorted(missing))}; add what is missing")
    treated = given.where(F.col("arm") == TREATMENT).select("user_id", "offer").distinct()
    strange = {row.offer for row in treated.select("offer").distinct().collect()} - {o.name for o in config.offers}
    if strange:
        raise ExpectedError(
            f"--assignments {assignments} names offers that are not simulated ({', '.join(sorted(strange))}); "
            "add them to `offers` of the configuration"
        )
    return treated


def _products(config: SimulationConfig, end: int) -> pa.Table:
    """The products that have appeared, with the paths of their pictures where there are pictures."""
    table = product_table(config)
    number = np.arange(table.num_rows)
    paths = [picture_path(config, *each) for each in zip(number, troubles(config, number), strict=True)]
    pictures = pa.array(paths, pa.string(), mask=np.full(len(paths), not config.pictures.write))
    table = table.append_column("picture", pictures)
    last = pa.scalar(config.start + timedelta(days=end), pa.date32())
    return table.filter(pc.less(table["appears_on"], last))


def _write_what_lasts(tables: Warehouse, config: SimulationConfig) -> dict[str, int]:
    """Write what no further day changes: relations, pictures, and the truth of products and drifts."""
    hidden = _hidden(tables)
    made = {"categories": category_table(), "brands": brand_table(config), "product_relations": relation_table(config)}
    rows = {name: _replace(tables, name, _frame(tables, table)) for name, table in made.items()}
    rows["truth/truth_products"] = _replace(hidden, "truth_products", _frame(tables, truth.product_truth(config)))
    if config.drift:
        rows["truth/truth_drift"] = _replace(hidden, "truth_drift", _frame(tables, truth.drift_truth(config)))
    if config.pictures.write:
        rows["pictures"] = _write_pictures(tables, config)
    return rows


def _write_pictures(tables: Warehouse, config: SimulationConfig) -> int:
    """Write the pictures, 500 a task; returns how many. Raises ExpectedError where the simulation is in no folder."""
    if "://" in tables.root:
        raise ExpectedError(f"--out {tables.root}: pictures are written to folders alone; give a folder")
    number = len(products(config).kind)
    tasks = tables.spark.sparkContext.range(number, numSlices=-(-number // 500))
    return int(tasks.mapPartitions(partial(_pictures, config=config, root=tables.root)).sum())


def _pictures(numbers: Iterable[int], config: SimulationConfig, root: str) -> Iterator[int]:
    yield write_pictures(config, products(config), list(numbers), root)


def _write_events(tables: Warehouse, config: SimulationConfig, exposed: DataFrame | None, span: Span) -> int:
    """Write the events, or change those that are there; returns how many there are."""
    properties = {
        CHANGE_FEED: "true",
        UNTIL: str(config.start + timedelta(days=span.end)),
        CONFIGURATION: _digest(config),
    }

    def made(taken: on_spark.Made) -> DataFrame:
        return on_spark.block_rows(tables.spark, config, exposed, span.end, taken, span.since)

    if not span.since:
        tables.replace(made(Block.events), "events", properties)
        return _rows(tables, "events")
    if config.deliveries.corrected or config.deliveries.deleted:
        corrected = made(partial(Block.corrected_since, day=span.since))
        deleted = made(partial(Block.deleted_since, day=span.since))
        _correct(tables, corrected, deleted, config.start + timedelta(days=max(0, span.since - LOOK_BACK)))
    new = made(partial(Block.delivered_since, day=span.since))
    first = config.start + timedelta(days=span.since)
    # One commit, which may be repeated: after a kill before the next line the days are made again.
    tables.overwrite(new, "events", where=f"delivered_on >= '{first}'")
    tables.set_properties("events", properties)
    return _rows(tables, "events")


def _correct(tables: Warehouse, corrected: DataFrame, deleted: DataFrame, earliest: date) -> None:
    """Correct prices of events, and delete events, that were delivered since ``earliest``."""
    changes = corrected.withColumn("gone", F.lit(False)).union(deleted.withColumn("gone", F.lit(True)))
    same = f"t.delivered_on >= '{earliest}' AND t.event_id = s.event_id"
    merging = tables.delta_table("events").alias("t").merge(changes.alias("s"), same)
    with tables.commit("events"):
        merging.whenMatchedDelete("s.gone").whenMatchedUpdate(set={"unit_price": "s.unit_price"}).execute()


def _hidden(tables: Warehouse) -> Warehouse:
    """The tables of the truth, in a folder that no mapping names."""
    return Warehouse(tables.spark, f"{tables.root}/{truth.FOLDER}")


def _frame(tables: Warehouse, table: pa.Table) -> DataFrame:
    return tables.spark.createDataFrame(table)


def _replace(tables: Warehouse, name: str, frame: DataFrame) -> int:
    """Replace a table; returns its rows."""
    tables.overwrite(frame, name)
    return _rows(tables, name)


def _rows(tables: Warehouse, name: str) -> int:
    # Delta knows the number, so this reads no rows.
    return int(tables.read(name).agg(F.count("*")).collect()[0][0])
