"""Renders users' histories, products and events as the text that the base encoder reads.

Time appears only as gaps between events, and money only as words relative to the product and its category. So a text
holds no currency, and changes when the user acts, not from one night to the next. What is usual (a price at its
reference, a mid-priced product, a quantity of one) is left out, since a text has few tokens.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ulvspark.contract.schema import PRICE_LEVELS
from ulvspark.contract.spec import TextSpec

RENDERER_VERSION = 1
"""Raise it whenever a history or a product may be rendered to another text. It is part of the versions of a bundle's
encoders, so vectors of texts that the older renderer made are not used again."""

Segment = Literal["profile", "events"]

MAX_WORDS, MAX_CHARACTERS = 24, 200
"""The most that is read of one value (a title, a search, a review, a profile attribute); the rest is cut."""

INSPECTED_CHARACTERS = 4 * MAX_CHARACTERS
"""Characters of a value in which its words are looked for; those after them are never looked at."""

VERBS = {
    "purchase": "bought", "return": "returned", "view": "viewed", "click": "clicked", "cart": "put in cart",
    "search": "searched", "review": "reviewed",
}  # fmt: skip

RELATION_WORDS = {"below": "below usual price", "above": "above usual price"}
LEVEL_WORDS = {level: level for level in PRICE_LEVELS if level != "mid-priced"}

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """The place of a field in the text: ``segment[start:end]``, in characters."""

    field: str
    segment: Segment
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """The text of a user: the profile (segment A), the events, newest first (segment B), and the spans of fields."""

    profile: str
    events: str
    spans: tuple[Span, ...]


def render(history: Mapping[str, Any], spec: TextSpec) -> Rendered:
    """The text of ``history``, a value of ``schema.HISTORY_TYPE`` as a mapping. Any value may be missing."""
    profile, profile_spans = _join("profile", _profile(history.get("profile") or {}))
    profile, profile_spans = _first_words(profile, profile_spans, spec.profile_max_words)
    events = history.get("events")
    text, spans = _join("events", _events([] if events is None else events))
    return Rendered(profile, text, (*profile_spans, *spans))


Piece = tuple[str, str | None]
"""Some text and its field; None for text that only joins fields."""


def _join(segment: Segment, pieces: Iterable[Piece]) -> tuple[str, tuple[Span, ...]]:
    texts, spans, length = [], [], 0
    for text, field in pieces:
        if field is not None:
            spans.append(Span(field, segment, length, length + len(text)))
        texts.append(text)
        length += len(text)
    return "".join(texts), tuple(spans)


def _profile(profile: Mapping[str, str | None] | Iterable[tuple[str, str | None]]) -> Iterator[Piece]:
    known = {_clean(name.replace("_", " ")): _clean(value) for name, value in dict(profile).items()}
    yield "customer", None
    if country := known.pop("country", ""):
        yield " from ", None
        yield country, "country"
    for name in sorted(known):
        if name and known[name]:
            yield f", {name} ", None
            yield known[name], name


def _first_words(text: str, spans: tuple[Span, ...], n: int) -> tuple[str, tuple[Span, ...]]:
    clipped = " ".join(text.split(" ")[:n])
    end = len(clipped)
    kept = (Span(span.field, span.segment, span.start, min(span.end, end)) for span in spans if span.start < end)
    return clipped, tuple(kept)


def _events(events: Iterable[Event]) -> Iterator[Piece]:
    newer: Event | None = None
    for event in events:
        gap = "" if newer is None else _gap_words(newer.get("gap_days"))
        if newer is not None:
            yield "; ", None
        if gap:
            yield gap, "gap"
            yield " earlier: ", None
        if newer is None or gap or _act(event) != _act(newer):
            yield _verb(event), "event_type"
            yield " ", None
        yield from _object(event)
        newer = event


def _act(event: Event) -> tuple[Any, Any]:
    """Events that follow each other and have this in common share one verb."""
    return event.get("event_type"), event.get("order_id")


def _verb(event: Event) -> str:
    kind = event.get("event_type")
    return VERBS.get(kind or "") or _clean(kind) or "did"


def _object(event: Event) -> Iterator[Piece]:
    text = _clean(event.get("text"))
    product = list(_product(event))
    if product:
        yield from product
    elif not text:
        yield "something", None
    if text:
        yield (": '" if product else "'"), None
        yield text, "text"
        yield "'", None


def _product(event: Event) -> Iterator[Piece]:
    """Price level, brand, title, quantity and price relation; nothing where the product has no name or brand."""
    field, name = _name(event)
    brand = _clean(event.get("brand"))
    words = (
        (LEVEL_WORDS.get(event.get("price_level") or "", ""), "price_level"),
        ("" if _says(name, brand) else brand, "brand"),
        (name, field),
        (_quantity_words(event.get("quantity")), "quantity"),
        (RELATION_WORDS.get(event.get("price_relation") or "", ""), "price_relation"),
    )
    if name or brand:
        yield from _spaced((text, field) for text, field in words if text)


def _name(event: Event) -> tuple[str, str]:
    """The field that names the product, and its text: the title, or else the last part of the category path."""
    if title := _clean(event.get("title")):
        return "title", title
    return "category", _clean((event.get("category") or "").rpartition(" > ")[2])


def _says(name: str, brand: str) -> bool:
    """Whether ``brand`` stands in ``name`` as whole words: "art" does in "art set" and does not in "cartridge"."""
    return brand in name and re.search(rf"(?<!\w){re.escape(brand)}(?!\w)", name) is not None


def _spaced(pieces: Iterable[Piece]) -> Iterator[Piece]:
    for number, piece in enumerate(pieces):
        if number:
            yield " ", None
        yield piece


def event_texts(histories: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """The distinct texts of the events of ``histories``, by key: products, searches and reviews."""
    texts: dict[int, str] = {}
    for history in histories:
        for event in history["events"]:
            product, text = event.get("product_key"), event.get("text_key")
            if product and product not in texts:
                texts[product] = product_text(event)
            if text and text not in texts:
                texts[text] = own_text(event)
    return texts


def product_text(product: Mapping[str, Any]) -> str:
    """Brand and title of a product, or the last part of its category path where it has no title."""
    _, name = _name(product)
    brand = _clean(product.get("brand"))
    return name if _says(name, brand) else f"{brand} {name}".strip()


def own_text(event: Mapping[str, Any]) -> str:
    """What was searched or written."""
    return _clean(event.get("text"))


def _quantity_words(quantity: float | None) -> str:
    if quantity is None or not math.isfinite(quantity) or quantity == 1:
        return ""
    return f"x{quantity:.6g}"


def _gap_words(days: int | None) -> str:
    """A gap in coarse words: 1 to 6 days, 1 to 8 weeks, 2 to 24 months, or years; empty within a day."""
    if not days or days < 0:
        return ""
    for unit, length, limit in (("day", 1, 7), ("week", 7, 63), ("month", 30, 730)):
        if days < limit:
            return _plural(days // length, unit)
    return _plural(days // 365, "year")


def _plural(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _clean(value: str | None) -> str:
    """In lower case, with single spaces, cut to ``MAX_WORDS`` and ``MAX_CHARACTERS``."""
    if not value:
        return ""
    # Cut first, since lower-casing a review of 50,000 characters for its first words would be slow.
    words = value[:INSPECTED_CHARACTERS].lower().split()[:MAX_WORDS]
    return " ".join(words)[:MAX_CHARACTERS].rstrip()
