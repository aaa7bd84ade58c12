"""Write a simulated platform's tables, and the truth behind them, as Delta tables."""

from pyspark.sql import functions as F

from ulvspark.contract.errors import ExpectedError
from ulvspark.simulation.behaviour import event_log
from ulvspark.simulation.catalogue import catalogue
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.people import members, people, truth
from ulvspark.warehouse.settings import CURRENCY
from ulvspark.warehouse.tables import Warehouse

JOB = "simulate"


def simulate(tables: Warehouse, config: SimulationConfig) -> dict[str, int]:
    """Write products, users, truth and events; returns the rows of each.

    A simulation that is there is replaced. Raises ExpectedError where ``tables`` is a warehouse, whose users would be
    replaced by made-up ones.
    """
    if tables.exists("events") and CURRENCY in tables.properties("events"):
        raise ExpectedError(
            f"--out {tables.root} is a warehouse, whose users would be replaced by made-up ones; give another folder"
        )
    everyone = people(tables.spark, config)
    frames = {
        "products": catalogue(tables.spark, config),
        "users": members(everyone, config),
        "truth": truth(everyone, config),
        "events": event_log(everyone, config),
    }
    rows = {}
    for name, frame in frames.items():
        tables.overwrite(frame, name)
        rows[name] = int(tables.read(name).agg(F.count("*")).collect()[0][0])
    return rows
