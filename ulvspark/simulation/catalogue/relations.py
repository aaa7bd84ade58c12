"""How products belong together: parent categories, facts about brands, substitutes and complements."""

import numpy as np
import pyarrow as pa

from ulvspark.simulation.catalogue import words
from ulvspark.simulation.catalogue.products import Products, product_ids, products, quality_of_brand
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Draws, Ints

SUBSTITUTES, COMPLEMENTS = 3, 2
"""How many of each a product has."""

_GRADES = ("entry", "middle", "top")


def category_table() -> pa.Table:
    """Each category and each of its parts, with the one above it."""
    paths = {" > ".join(parts[: depth + 1]) for path in words.CATEGORIES for parts in [path.split(" > ")]
             for depth in range(len(parts))}  # fmt: skip
    ordered = sorted(paths)
    parents = [path.rpartition(" > ")[0] or None for path in ordered]
    return pa.table({"category": pa.array(ordered, pa.string()), "parent": pa.array(parents, pa.string())})


def brand_table(config: SimulationConfig) -> pa.Table:
    """Facts about brands: how good their goods are, in three grades."""
    grade = np.searchsorted((-0.6, 0.6), quality_of_brand(Draws(config.seed)))
    return pa.table({
        "brand": pa.array(words.BRANDS, pa.string()),
        "grade": pa.array([_GRADES[place] for place in grade], pa.string()),
    })  # fmt: skip


def relation_table(config: SimulationConfig) -> pa.Table:
    """Pairs of products: substitutes are of the same kind and of brands as good, complements of the kind beside it."""
    sold, draws = products(config), Draws(config.seed)
    rows = [_pairs(sold, draws, "substitute", place) for place in range(SUBSTITUTES)]
    rows += [_pairs(sold, draws, "complement", place) for place in range(COMPLEMENTS)]
    names = product_ids(len(sold.kind))
    related = np.concatenate(rows)
    product = np.tile(np.arange(len(sold.kind)), SUBSTITUTES + COMPLEMENTS)
    kinds = np.repeat(["substitute", "complement"], [len(sold.kind) * SUBSTITUTES, len(sold.kind) * COMPLEMENTS])
    other = related != product
    return pa.table({
        "product_id": names.take(pa.array(product[other])),
        "related_id": names.take(pa.array(related[other])),
        "relation": pa.array(kinds[other], pa.string()),
    })  # fmt: skip


def _pairs(sold: Products, draws: Draws, relation: str, place: int) -> Ints:
    """For each product one that is related to it; itself where there is none."""
    order = np.lexsort((draws.uniform(f"{relation} {place}", np.arange(len(sold.kind))), sold.quality, sold.kind))
    ranked_kind = sold.kind[order]
    wanted = sold.kind if relation == "substitute" else _beside(sold.kind)
    first = np.searchsorted(ranked_kind, wanted, side="left")
    number = np.searchsorted(ranked_kind, wanted, side="right") - first
    # Where its own kind is as far up in quality as it is within its own: the next one there.
    own_first = np.searchsorted(ranked_kind, sold.kind, side="left")
    own_number = np.searchsorted(ranked_kind, sold.kind, side="right") - own_first
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    part = (rank - own_first) / own_number
    target = first + np.minimum((part * number).astype(np.int64) + (relation == "substitute"), number - 1)
    return np.where(number > 0, order[np.clip(target, 0, len(order) - 1)], np.arange(len(order)))


def _beside(kind: Ints) -> Ints:
    """Another kind of the same category: kinds go together in pairs."""
    return kind ^ 1
