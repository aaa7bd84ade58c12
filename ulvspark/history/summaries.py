"""One row a user as of a date, made from the user's events: numbers and recent events, in Arrow and numpy alone.

Spark (``behaviour``) and the self-test of a bundle both call this, so a bundle notices where the two would differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ulvspark.contract.spec import HistorySpec
from ulvspark.history.numbers import numbers, sums_are_exact
from ulvspark.history.packing import unpack
from ulvspark.history.recent_events import hashes, histories, recent_events, records, sequences, text_keys
from ulvspark.history.timelines import UNKNOWN, Ints, Timelines, day_number, from_arrow, newest_first

ROWS = pa.schema(
    {
        "user_id": pa.string(), "user_hash": pa.int64(),
        # Of a user: one row, in which everything below is null.
        "known": pa.bool_(), "signup": pa.int32(), "profile": pa.string(), "profile_key": pa.int64(),
        # Of an event: a row each, in which everything above but the user is null.
        "event_time": pa.int64(), "event_id": pa.string(), "day": pa.int32(),
        "event_type": pa.int8(), "price_relation": pa.int8(), "price_level": pa.int8(),
        "order": pa.int64(), "product": pa.int64(), "quantity": pa.int64(), "amount": pa.int64(),
        "list_value": pa.int64(), "text_key": pa.int64(), "product_key": pa.int64(), "top_category": pa.int64(),
        "title": pa.string(), "category": pa.string(), "brand": pa.string(), "text": pa.string(),
    }
)  # fmt: skip
"""Users and their events, side by side; null where a value is not known.

``event_time`` counts microseconds and orders a user's events; ``day`` and ``signup`` are local days since 1970-01-01;
``event_type``, ``price_relation`` and ``price_level`` are places in ``schema.CODED``; quantity, amount and list_value
(quantity times list price) are ten-thousandths; ``order``, ``product`` and ``top_category`` are any numbers that tell
ids apart; the keys are those of ``schema.TEXT_VECTORS``; ``profile`` is a JSON object of text.
"""


@dataclass(frozen=True)
class Catalogue:
    """What is looked up of a product by the hash of its id: p products, after one that stands for every other."""

    product: Ints
    """(p + 1,) hashes of ids, rising."""
    product_key: Ints
    """(p + 1,) keys of the products' words; ``UNKNOWN`` where there are none."""
    top_category: Ints
    """(p + 1,) hashes of the top category; ``UNKNOWN`` where there is none."""

    @classmethod
    def from_table(cls, products: pa.Table) -> Self:
        """From the columns product, product_key and top_category."""
        columns = [from_arrow(products.column(name)) for name in ("product", "product_key", "top_category")]
        order = np.argsort(columns[0])
        return cls(*(np.append(UNKNOWN, column[order]) for column in columns))

    def look_up(self, products: Ints) -> dict[str, Ints]:
        """product_key and top_category, (e,) each, of (e,) hashes of ids."""
        numbers, distinct = pd.factorize(products)
        places = np.searchsorted(self.product, distinct).clip(max=len(self.product) - 1)
        places = np.where(self.product[places] == distinct, places, 0)
        return {name: getattr(self, name)[places][numbers] for name in ("product_key", "top_category")}


def summarise_rows(rows: pa.RecordBatch, as_of: date, spec: HistorySpec) -> pa.RecordBatch:
    """From ``ROWS`` of whole users, with events before ``as_of`` alone, in any order, to one row a user.

    Columns: user_id, eligible, exact, history (``schema.HISTORY_TYPE``), history_hash, ``spec.numbers``; null =
    unknown, as everything is of a user whose sums are not ``exact``. Users come in the order of their first rows.
    """
    timelines = Timelines.from_rows(newest_first(rows))
    recent = recent_events(timelines, spec.recent_events)
    columns = {"history": histories(recent), "history_hash": hashes(records(recent), recent)}
    return _summary(timelines, columns, as_of, spec)


def summarise_timelines(rows: pa.RecordBatch, catalogue: Catalogue, as_of: date, spec: HistorySpec) -> pa.RecordBatch:
    """From rows of ``schema.TIMELINES`` to one row for each user who is known or has an event before ``as_of``.

    Columns: user_id, eligible, exact, sequence (``recent_events.RECORD`` by record), text_keys (of the events' own
    texts), history_hash, ``spec.numbers``; null = unknown, as everything is of a user whose sums are not ``exact``.
    """
    timelines = unpack(rows).before(day_number(as_of))
    timelines = replace(timelines, events=timelines.events | catalogue.look_up(timelines.events["product"]))
    recent = recent_events(timelines, spec.recent_events)
    packed = records(recent)
    columns = {
        "sequence": sequences(packed, recent.starts),
        "text_keys": text_keys(recent),
        "history_hash": hashes(packed, recent),
    }
    summary = _summary(timelines, columns, as_of, spec)
    # Drop users first seen on or after as_of.
    return summary.filter(pc.or_(timelines.users.column("known"), pa.array(timelines.lengths > 0)))


def _summary(timelines: Timelines, columns: Mapping[str, pa.Array], as_of: date, spec: HistorySpec) -> pa.RecordBatch:
    exact, values = sums_are_exact(timelines), numbers(timelines, spec, as_of)
    values = {name: np.where(exact, each, np.nan) for name, each in values.items()}
    users = {
        "user_id": timelines.users.column("user_id"),
        "eligible": pa.array(values["orders"] > 0),
        "exact": pa.array(exact),
    }
    if not exact.all():
        places = pa.array(np.arange(len(exact)), mask=~exact)
        columns = {name: column.take(places) for name, column in columns.items()}
    return pa.record_batch(
        {**users, **columns, **{name: pa.array(each, from_pandas=True) for name, each in values.items()}}
    )
