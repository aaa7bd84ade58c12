"""Histories as flat arrays: what the sequence network reads of each event, without a row of Python."""

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
from ulvspark.history.recent_events import NONE, RECORD
from ulvspark.history.timelines import UNKNOWN

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
    def from_histories(cls, histories: Sequence[Mapping[str, Any]]) -> Self:
        """From values of ``schema.HISTORY_TYPE`` as mappings."""
        names = [field.name for field in READ.value_type]
        events = [[{name: each.get(name) for name in names} for each in one["events"]] for one in histories]
        return cls.from_arrow(pa.array(events, READ))

    @classmethod
    def from_arrow(cls, events: pa.ListArray) -> Self:
        """From the ``events`` of a column of histories."""
        flat = events.flatten()
        starts = np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(events), 0).to_numpy())])

        def field(name: str) -> pa.Array:
            return pc.struct_field(flat, name)

        return cls(
            starts=starts.astype(np.int64),
            codes={name: _codes(field(name), words) for name, words in CODED.items()},
            same_order=_same(*_numbered(field("order_id")), starts),
            measures=_logs(_filled(field("gap_days")), _known(field("gap_days")), _filled(field("quantity"))),
            product=_keys(field("product_key")),
            text=_keys(field("text_key")),
        )

    @classmethod
    def from_sequences(cls, sequences: pa.BinaryArray) -> Self:
        """From what ``recent_events.sequences`` gave, without nulls."""
        starts, records = from_bytes(sequences, RECORD)
        gap, quantity = records["gap_days"], records["quantity"]
        return cls(
            starts=starts,
            codes={name: records[name].astype(np.int64) + 1 for name in CODED},
            same_order=_same(records["order"], records["order"] != NONE, starts),
            measures=_logs(
                np.where(gap == NONE, 0, gap), gap != NONE, np.where(quantity == UNKNOWN, 0, quantity / TEN_THOUSANDTHS)
            ),
            product=records["product_key"].astype(np.int64),
            text=records["text_key"].astype(np.int64),
        )

    @property
    def lengths(self) -> Ints:
        """(n,) events of each history."""
        return np.diff(self.starts)

    def numbered(self) -> tuple[Self, Ints]:
        """The same events with numbers from 1 among the (T,) distinct keys or places of texts, and these."""
        used, product, text = _distinct(self.product, self.text)
        return self.with_texts(product, text), used

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
        used, product, text = _distinct(self.product, self.text)
        return replace(self, product=product, text=text).tensors(), used

    def tensors(self) -> dict[str, Tensor]:
        """The same with keys or places of texts as they are."""
        arrays = {
            **self.codes, "same_order": self.same_order, "measures": self.measures, "mask": self.mask,
            "product": self.product, "text": self.text,
        }  # fmt: skip
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def _distinct(product: Ints, text: Ints) -> tuple[Ints, Ints, Ints]:
    """(T,) the distinct keys or places that are not 0, and both arrays with numbers from 1 among them."""
    both = np.stack([product, text])
    numbers, used = pd.factorize(np.append(0, both))
    return used[1:], *numbers[1:].reshape(both.shape)


def _codes(words: pa.Array, known: tuple[str, ...]) -> Ints:
    found = pc.fill_null(pc.index_in(words, pa.array(known)), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64) + 1


def _same(orders: Ints, known: npt.NDArray[np.bool_], starts: Ints) -> Ints:
    same = np.zeros(len(orders), dtype=np.int64)
    same[1:] = (orders[1:] == orders[:-1]) & known[1:] & known[:-1]
    same[starts[:-1][starts[:-1] < len(orders)]] = 0
    return same


def _logs(gap_days: npt.NDArray[Any], known: npt.NDArray[np.bool_], quantity: npt.NDArray[Any]) -> Floats:
    """``measures`` of gaps, 0 where they are not known, and quantities."""
    return np.stack([np.log1p(gap_days.clip(0)), known, np.log1p(quantity.clip(0))], axis=1).astype(np.float32)


def _numbered(words: pa.Array) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Numbers that are equal where words are, and where there is a word."""
    return _keys(words.dictionary_encode().indices), _known(words)


def _known(values: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.is_valid(values).to_numpy(zero_copy_only=False))


def _filled(values: pa.Array) -> npt.NDArray[Any]:
    """0 where a number is null."""
    return np.asarray(pc.fill_null(values, 0).to_numpy(zero_copy_only=False))


def _keys(keys: pa.Array) -> Ints:
    return _filled(keys).astype(np.int64)
