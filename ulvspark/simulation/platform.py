"""A small simulated platform in memory, without Spark: its tables and its truth."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ulvspark.simulation import truth
from ulvspark.simulation.block import Block, block, numbers
from ulvspark.simulation.catalogue.products import product_table
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Bools
from ulvspark.simulation.users.offers import NO_EXPOSURES, Exposures, scheduled
from ulvspark.simulation.users.people import number_of_users, people, user_names, user_table


@dataclass(frozen=True)
class Platform:
    """The tables of a platform, as they are on a day."""

    events: pa.Table
    users: pa.Table
    products: pa.Table
    truth_users: pa.Table
    truth_offers: pa.Table


def simulate_platform(config: SimulationConfig, days: int | None = None) -> Platform:
    """All tables of a platform on its last day, or when ``days`` have passed."""
    end = config.days if days is None else days
    blocks = [block(config, ids, all_scheduled(config, ids, end), end) for ids in numbers(number_of_users(config, end))]
    return Platform(
        events=pa.concat_tables(each.events() for each in blocks),
        users=_joined(blocks, [user_table(config, each.people) for each in blocks]),
        products=product_table(config),
        truth_users=_joined(blocks, [truth.user_truth(config, each.people, each.presence) for each in blocks]),
        truth_offers=pa.concat_tables(truth.offer_truth(config, each.people) for each in blocks),
    )


def all_scheduled(config: SimulationConfig, ids: np.ndarray, end: int) -> Exposures:
    """The exposures of a block of users before day ``end`` where nobody else assigns."""
    if not config.offers:
        return NO_EXPOSURES
    users = people(config, ids, 1)
    return scheduled(config, users.joined, ids, user_names(ids).to_pylist(), 0, end)


def has_joined(made: Block) -> Bools:
    """Which users of a block have joined by its last day."""
    return made.people.joined < made.end


def _joined(blocks: list[Block], tables: list[pa.Table]) -> pa.Table:
    """The rows of users who have joined."""
    kept = [table.filter(pa.array(has_joined(made))) for made, table in zip(blocks, tables, strict=True)]
    return pa.concat_tables(kept)
