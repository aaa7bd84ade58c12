"""The settings of a whole warehouse: its currency and its time zone, as properties of the table ``events``."""

from dataclasses import dataclass

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.schema import EVENTS
from ulvspark.warehouse.tables import FORMAT, FORMAT_VERSION, Warehouse

CURRENCY = "ulvspark.currency"
TIME_ZONE = "ulvspark.time_zone"


@dataclass(frozen=True)
class WarehouseSettings:
    """Its one currency, and the time zone whose midnight begins ``as_of``."""

    currency: str
    time_zone: str


def read_settings(warehouse: Warehouse) -> WarehouseSettings:
    """Currency and time zone, as the first load set them.

    Raises ExpectedError when nothing was loaded, or by a version of ulvspark whose tables this one cannot read.
    """
    properties = warehouse.properties(EVENTS.name)
    if CURRENCY not in properties or TIME_ZONE not in properties:
        raise ExpectedError(
            f"table {EVENTS.name} of warehouse {warehouse.root} was not made by load_source; run that first"
        )
    if properties.get(FORMAT) != FORMAT_VERSION:
        raise ExpectedError(
            f"warehouse {warehouse.root} has format {properties.get(FORMAT, '1')}, but this version of ulvspark reads "
            f"format {FORMAT_VERSION}; run load_source into a new warehouse"
        )
    return WarehouseSettings(properties[CURRENCY], properties[TIME_ZONE])
