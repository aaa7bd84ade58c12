"""Histories as flat arrays: what the sequence network reads of each event, without a row of Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from ulvspark.contract.schema import CODED

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

MEASURES = 3
"""Numbers read of an event: log of the gap, whether there is one, log of the quantity."""

READ = pa.list_(
    pa.struct(
        [
            ("event_type", pa.string()), ("order_id", pa.string()), ("gap_days", pa.int32()),
            ("quantity", pa.float64()), ("price_relation", pa.string()), ("price_level", pa.string()),
            ("product_key", pa.int64()), ("text_key", pa.int64()),
        ]
    )
)  # fmt: skip
"""What is read of ``schema.HISTORY_TYPE``'s events."""


@dataclass(frozen=True)
class Events:
    """The events of n histories, newest first, one history after another; e events in all."""

    starts: Ints
    """(n + 1,): history i holds the events [starts[i], starts[i + 1])."""
    codes: dict[str, Ints]
    """(e,) of each of ``CODED``: numbers from 1, 0 is unknown."""
    same_order: Ints
    """(e,): 1 where the event belongs to the same order as the newer one."""
    measures: Floats
    """(e, MEASURES)."""
    product: Ints
    """(e,) key or place of the product's text; 0 where there is none."""
    text: Ints
    """(e,) key or place of the event's own text; 0 where there is none."""

    @classmethod
    def of(cls, histories: Sequence[Mapping[str, Any]]) -> Self:
        """From values of ``schema.HISTORY_TYPE`` as mappings."""
        names = [field.name for field in READ.value_type]
        events = [[{name: each.get(name) for name in names} for each in one["events"]] for one in histories]
        return cls.of_arrow(pa.array(events, READ))

    @classmethod
    def of_arrow(cls, events: pa.ListArray) -> Self:
        """From the ``events`` of a column of histories."""
        flat = events.flatten()
        starts = np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(events), 0).to_numpy())])

        def field(name: str) -> pa.Array:
            return pc.struct_field(flat, name)

        return cls(
            starts=starts.astype(np.int64),
            codes={name: _codes(field(name), words) for name, words in CODED.items()},
            same_order=_same_order(field("order_id"), starts),
            measures=_measures(field("gap_days"), field("quantity")),
            product=_keys(field("product_key")),
            text=_keys(field("text_key")),
        )

    @property
    def lengths(self) -> Ints:
        """(n,) events of each history."""
        return np.diff(self.starts)

    def with_texts(self, product: Ints, text: Ints) -> Self:
        """The same events with other keys or places of texts."""
        return replace(self, product=product, text=text)

    def padded(self, rows: Ints) -> "Padded":
        """The events of some histories, as many a row as the longest has."""
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
    """Events of B histories as (B, L) arrays; ``mask`` says where there is one, elsewhere all is 0."""

    mask: npt.NDArray[np.bool_]
    codes: dict[str, Ints]
    same_order: Ints
    measures: Floats
    """(B, L, MEASURES)."""
    product: Ints
    text: Ints

    def inputs(self) -> tuple[dict[str, Tensor], Ints]:
        """What the sequence network reads but the texts' states, and (T,) the distinct keys or places of these.

        ``product`` and ``text`` of the inputs are numbers from 1 among the distinct ones; 0 is none.
        """
        both = np.stack([self.product, self.text])
        used, numbers = np.unique(np.append(both, 0), return_inverse=True)
        product, text = numbers[:-1].reshape(both.shape)
        arrays = {
            **self.codes, "same_order": self.same_order, "measures": self.measures, "mask": self.mask,
            "product": product, "text": text,
        }  # fmt: skip
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}, used[1:]


def _codes(words: pa.Array, known: tuple[str, ...]) -> Ints:
    found = pc.fill_null(pc.index_in(words, pa.array(known)), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64) + 1


def _same_order(orders: pa.Array, starts: Ints) -> Ints:
    same = np.zeros(len(orders), dtype=np.int64)
    if len(orders) > 1:
        same[1:] = pc.fill_null(pc.equal(orders[1:], orders[:-1]), False).to_numpy(zero_copy_only=False)
    same[starts[:-1][starts[:-1] < len(orders)]] = 0
    return same


def _measures(gap_days: pa.Array, quantity: pa.Array) -> Floats:
    gap, many = (pc.fill_null(each, 0).to_numpy(zero_copy_only=False).clip(0) for each in (gap_days, quantity))
    known = pc.is_valid(gap_days).to_numpy(zero_copy_only=False)
    return np.stack([np.log1p(gap), known, np.log1p(many)], axis=1).astype(np.float32)


def _keys(keys: pa.Array) -> Ints:
    return np.asarray(pc.fill_null(keys, 0).to_numpy(zero_copy_only=False), dtype=np.int64)
