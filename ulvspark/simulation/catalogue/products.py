"""The products of a simulated platform, as arrays: what each is made of, when it was new, and the table of them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from ulvspark.simulation.catalogue import words
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Bools, Draws, Floats, Ints

STYLES = 8
"""Looks that only pictures show, ordered from plain to lavish."""

NEW_SHARE = 0.3
"""This share of the products is new at some time, the others were there from the start."""

BARE_TITLES = 0.3
"""This share of the titles names neither brand nor look."""

_PARTS = {
    "size": words.SIZES, "colour": words.COLOURS, "material": words.MATERIALS, "look": words.LOOKS,
    "brand": words.BRANDS,
}  # fmt: skip
_QUALITY_OF_BRANDS = np.linspace(-1.6, 1.6, len(words.BRANDS))


@dataclass(frozen=True)
class Products:
    """Arrays of a value a product, (n,). Product p is of category p mod the number of categories.

    Within a category smaller numbers are more popular, and the last 30 % appear one by one during the joining days;
    a drift of the catalogue appends products that all appear on its day.
    """

    kind: Ints
    """The place of its noun in ``words.NOUNS``."""
    parts: dict[str, Ints]
    """Size, colour, material, look and brand: places in the lists of words."""
    bare: Bools
    """Whether the title names neither brand nor look."""
    style: Ints
    quality: Floats
    """How good the brand is, a fact that no title tells: from -1.6 to 1.6."""
    price_level: Floats
    """The logarithm of its price against the platform's median."""
    appears: Ints
    """Days since the start."""

    @property
    def category(self) -> Ints:
        return self.kind // words.KINDS_A_CATEGORY

    @property
    def style_axis(self) -> Floats:
        """From -1.5 (plain) to 1.5 (lavish)."""
        return np.linspace(-1.5, 1.5, STYLES)[self.style]


def quality_of_brand(draws: Draws) -> Floats:
    """How good each brand is, in no order that its name gives away."""
    return _QUALITY_OF_BRANDS[np.argsort(draws.uniform("quality of brand", np.arange(len(words.BRANDS))))]


@lru_cache(maxsize=2)
def products(config: SimulationConfig) -> Products:
    """All products that the platform ever sells; none of their titles occurs twice."""
    draws, categories = Draws(config.seed), len(words.CATEGORIES)
    ids = np.arange(_number(config), dtype=np.int64)
    kind = ids % categories * words.KINDS_A_CATEGORY + draws.below(words.KINDS_A_CATEGORY, "kind", ids)
    parts = _parts_without_repeats(draws, kind)
    return Products(
        kind=kind,
        parts=parts,
        bare=draws.uniform("bare title", ids) < BARE_TITLES,
        style=draws.below(STYLES, "style", ids),
        quality=quality_of_brand(draws)[parts["brand"]],
        price_level=0.8 * draws.normal("price", ids),
        appears=_appearance(config, ids),
    )


def _number(config: SimulationConfig) -> int:
    return config.products * (1 + len(config.drifts("catalogue")))


def _appearance(config: SimulationConfig, ids: Ints) -> Ints:
    """The day from which each product is sold."""
    rank = ids % config.products / config.products
    gradually = np.floor((rank - (1 - NEW_SHARE)) / NEW_SHARE * config.joining_days)
    appears = np.maximum(gradually, 0).astype(np.int64)
    for number, (day, _) in enumerate(config.drifts("catalogue"), start=1):
        appears[number * config.products : (number + 1) * config.products] = day
    return appears


def _parts_without_repeats(draws: Draws, kind: Ints) -> dict[str, Ints]:
    """The parts of each title, drawn again for products whose title an earlier one has."""
    ids = np.arange(len(kind), dtype=np.int64)
    tries = np.zeros(len(kind), np.int64)
    while True:
        parts = {name: draws.below(len(choices), name, ids, tries) for name, choices in _PARTS.items()}
        code = kind.copy()
        for name, choices in _PARTS.items():
            code = code * len(choices) + parts[name]
        _, first = np.unique(code, return_index=True)
        repeated = np.ones(len(kind), bool)
        repeated[first] = False
        if not repeated.any():
            return parts
        tries[repeated] += 1


@lru_cache(maxsize=2)
def product_ids(number: int) -> pa.StringArray:
    """The ids of the first products on the platform."""
    return pa.array([f"p{each}" for each in range(number)], pa.string())


def product_table(config: SimulationConfig) -> pa.Table:
    """What the platform knows of its products."""
    made = products(config)
    brand = pa.array(words.BRANDS, pa.string()).take(pa.array(made.parts["brand"], mask=made.bare))
    titles = [_title(made, number) for number in range(len(made.kind))]
    return pa.table({
        "product_id": product_ids(len(titles)),
        "title": pa.array(titles, pa.string()),
        "category": pa.array(words.CATEGORIES, pa.string()).take(pa.array(made.category)),
        "brand": brand,
        "description": pa.nulls(len(titles), pa.string()),
        "appears_on": pa.array(np.datetime64(config.start) + made.appears, pa.date32()),
    })  # fmt: skip


def _title(made: Products, number: int) -> str:
    """The title, which names neither brand nor look where it is bare: then a number keeps it apart from others."""
    size, colour, material, look, brand = (_PARTS[name][made.parts[name][number]] for name in _PARTS)
    noun = words.NOUNS[made.kind[number]]
    if made.bare[number]:
        return f"{size} {colour} {material} {noun} no. {number}"
    return f"{brand} {size} {look} {colour} {material} {noun}"
