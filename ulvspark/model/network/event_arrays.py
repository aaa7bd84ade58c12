"""The recent events of many users as flat arrays, which the sequence network reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from ulvspark.contract.schema import CODED
from ulvspark.history.numbers import TEN_THOUSANDTHS
from ulvspark.history.packing import from_bytes
from ulvspark.history.recent_events import RECORD
from ulvspark.history.timelines import fill_unknown, from_arrow, is_known

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

EVENT_MEASURES = 3
"""Numbers of an event that are no codes: log of the gap, whether there is a gap, log of the quantity."""

READ = pa.list_(
    pa.struct(
        [
            ("event_type", pa.string()), ("order_id", pa.string()), ("gap_days", pa.int32()),
            ("quantity", pa.float64()), ("price_relation", pa.string()), ("price_level", pa.string()),
            ("product_key", pa.int64()), ("text_key", pa.int64()),
        ]
    )
)  # fmt: skip
"""The fields of an event in ``schema.HISTORY_TYPE`` that are read."""


@dataclass(frozen=True)
class Events:
    """The recent events of n users, e in all: one user after another, each user's newest event first."""

    starts: Ints
    """(n + 1,): user i has the events [starts[i], starts[i + 1])."""
    codes: dict[str, Ints]
    """(e,) for each of ``CODED``: the place of the word, counted from 1; 0 is unknown."""
    same_order: Ints
    """(e,): 1 where the event belongs to the same order as the newer one."""
    measures: Floats
    """(e, EVENT_MEASURES)."""
    product: Ints
    """(e,) key or place of the product's text; 0 where there is none."""
    text: Ints
    """(e,) key or place of the event's own text; 0 where there is none."""

    @classmethod
    def from_histories(cls, histories: Sequence[Mapping[str, Any]]) -> Self:
        """From values of ``schema.HISTORY_TYPE`` as mappings."""
        names = [field.name for field in READ.value_type]
        events = [[{name: event.get(name) for name in names} for event in history["events"]] for history in histories]
        return cls.from_lists(pa.array(events, READ))

    @classmethod
    def from_lists(cls, events: pa.ListArray) -> Self:
        """From the ``events`` of a column of histories."""
        flat = events.flatten()
        starts = np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(events), 0).to_numpy())])
        fields = {name: pc.struct_field(flat, name) for name in (field.name for field in READ.value_type)}
        numbers = {name: from_arrow(fields[name]) for name in ("gap_days", "product_key", "text_key")}
        numbers |= {name: from_arrow(pc.index_in(fields[name], pa.array(words))) for name, words in CODED.items()}
        numbers["order"] = from_arrow(fields["order_id"].dictionary_encode().indices)
        quantity = pc.fill_null(fields["quantity"], 0).to_numpy(zero_copy_only=False)
        return cls._from_numbers(starts.astype(np.int64), numbers, quantity)

    @classmethod
    def from_sequences(cls, sequences: pa.BinaryArray) -> Self:
        """From a column of ``recent_events.sequences``, without nulls."""
        starts, records = from_bytes(sequences, RECORD)
        numbers = {name: records[name] for name in RECORD.names or ()}
        return cls._from_numbers(starts, numbers, fill_unknown(numbers["quantity"], 0) / TEN_THOUSANDTHS)

    @classmethod
    def _from_numbers(cls, starts: Ints, numbers: Mapping[str, npt.NDArray[Any]], quantity: npt.NDArray[Any]) -> Self:
        """From whole numbers of events by name, in any width, and (e,) quantities in units, 0 where not known."""
        return cls(
            starts=starts,
            codes={name: fill_unknown(numbers[name], -1).astype(np.int64) + 1 for name in CODED},
            same_order=_same_order(numbers["order"], starts),
            measures=_measures(numbers["gap_days"], quantity),
            product=fill_unknown(numbers["product_key"], 0),
            text=fill_unknown(numbers["text_key"], 0),
        )

    @property
    def lengths(self) -> Ints:
        """(n,) number of events of each user."""
        return np.diff(self.starts)

    def numbered(self) -> tuple[Self, Ints]:
        """The same events, with numbers from 1 that stand for the distinct keys or places of texts; and (T,) these."""
        used, product, text = _distinct(self.product, self.text)
        return self.with_texts(product, text), used

    def with_texts(self, product: Ints, text: Ints) -> Self:
        """The same events with other keys or places of texts."""
        return replace(self, product=product, text=text)

    def padded(self, rows: Ints) -> "Padded":
        """The events of some users, a user a row, as long as the longest."""
        lengths = self.lengths[rows]
        places = np.arange(max(int(lengths.max(initial=0)), 1))
        mask = places < lengths[:, None]
        events = np.where(mask, self.starts[rows][:, None] + places, 0)

        def filled(values: Ints) -> Ints:
            return np.where(mask, values[events], 0)

        return Padded(
            mask=mask,
            codes={name: filled(values) for name, values in self.codes.items()},
            same_order=filled(self.same_order),
            measures=self.measures[events] * mask[:, :, None],
            product=filled(self.product),
            text=filled(self.text),
        )


@dataclass(frozen=True)
class Padded:
    """Events of B users as (B, L) arrays. ``mask`` says where there is an event; elsewhere all else is 0."""

    mask: npt.NDArray[np.bool_]
    codes: dict[str, Ints]
    same_order: Ints
    measures: Floats
    """(B, L, EVENT_MEASURES)."""
    product: Ints
    text: Ints

    def inputs(self) -> tuple[dict[str, Tensor], Ints]:
        """What the sequence network reads beside the states of texts, and (T,) the distinct keys or places of texts.

        ``product`` and ``text`` of the inputs are numbers from 1 that stand for these; 0 is no text.
        """
        used, product, text = _distinct(self.product, self.text)
        return replace(self, product=product, text=text).tensors(), used

    def tensors(self) -> dict[str, Tensor]:
        """The arrays as tensors, with keys or places of texts as they are."""
        arrays = {
            **self.codes, "same_order": self.same_order, "measures": self.measures, "mask": self.mask,
            "product": self.product, "text": self.text,
        }  # fmt: skip
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def _distinct(product: Ints, text: Ints) -> tuple[Ints, Ints, Ints]:
    """(T,) the distinct keys or places that are not 0, and both arrays with numbers from 1 that stand for them."""
    both = np.stack([product, text])
    numbers, used = pd.factorize(np.append(0, both))
    return used[1:], *numbers[1:].reshape(both.shape)


def _same_order(orders: npt.NDArray[Any], starts: Ints) -> Ints:
    same = np.zeros(len(orders), dtype=np.int64)
    same[1:] = (orders[1:] == orders[:-1]) & is_known(orders[1:])
    same[starts[:-1][starts[:-1] < len(orders)]] = 0
    return same


def _measures(gap_days: npt.NDArray[Any], quantity: npt.NDArray[Any]) -> Floats:
    gaps, known = fill_unknown(gap_days, 0), is_known(gap_days)
    return np.stack([np.log1p(gaps.clip(0)), known, np.log1p(quantity.clip(0))], axis=1).astype(np.float32)
