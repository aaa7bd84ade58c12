"""What arrays look up of a product: the key of its words, and its top category."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa

from ulvspark.history.timelines import UNKNOWN, Ints, whole_numbers


@dataclass(frozen=True)
class Catalogue:
    """p products and, first, the one that is not known: numbers are ``UNKNOWN`` where there is none."""

    product: Ints
    """(p + 1,) hashes of ids, rising."""
    product_key: Ints
    """(p + 1,)"""
    top_category: Ints
    """(p + 1,)"""

    @classmethod
    def of(cls, products: pa.Table) -> Self:
        """From product, product_key and top_category."""
        columns = [whole_numbers(products.column(name)) for name in ("product", "product_key", "top_category")]
        order = np.argsort(columns[0])
        return cls(*(np.append(UNKNOWN, column[order]) for column in columns))

    def look_up(self, products: Ints) -> dict[str, Ints]:
        """product_key and top_category of (e,) hashes of ids."""
        numbers, distinct = pd.factorize(products)
        places = np.searchsorted(self.product, distinct).clip(max=len(self.product) - 1)
        places = np.where(self.product[places] == distinct, places, 0)
        return {name: getattr(self, name)[places][numbers] for name in ("product_key", "top_category")}
