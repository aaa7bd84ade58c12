"""Made-up users that travel with a bundle, as events: every event type, missing values, long texts, other scripts."""

import json
import random
import zlib
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ulvspark.contract.schema import CODED, EVENT_TYPES
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.numbers import TEN_THOUSANDTHS
from ulvspark.history.population import QUANTILE_PROBABILITIES, Population
from ulvspark.history.summaries import ROWS, summarise_rows
from ulvspark.history.timelines import day_number
from ulvspark.model.inference.users import Users

GOLDEN_USERS = 20
SEED = 20_191_212
AS_OF = date(2020, 2, 29)
MICROSECONDS_A_DAY = 86_400_000_000

GOLDEN_PRODUCTS = (
    ("Printer cartridge", "Office > Ink", "Art"),  # the brand is part of a word of the title
    ("Art print, 30x40", "Home > Pictures", "Art"),  # the brand is a word of the title
    ("White Hanging Heart T-Light Holder", "Home > Kitchen > Mugs", "ACME"),
    ("RED  WOOLLY HOTTIE", None, None),
    ("mug “Café” No. 7 🎁", "Home > Kitchen > Mugs", None),
    ("经典红茶 250g", "Grocery", "红"),
    (None, "Home > Kitchen > Mugs", "ACME"),
    (None, "Grocery", None),
    ("Jumbo bag – pink polka-dot", None, "ACME"),
    ("👩‍👩‍👧 family puzzle", "Toys", None),
    ("x" * 300, "Grocery", "ACME"),
    ("screws (M4×20), 100 pcs", "Tools", "ACME"),
    ("Crème brûlée set", "Home > Kitchen", None),
    (None, None, None),
)
"""Title, category, brand."""
PRINTER_CARTRIDGE = 0

GOLDEN_TEXTS = (
    "gift bags",
    "Great quality 😍 would buy again!",
    "不错,很喜欢",
    None,
    "too small. " * 5_000,
    'it\'s "fine"\n\tI guess',
)
GOLDEN_COUNTRIES = ("United Kingdom", "EIRE", "中国", None)
ATTRIBUTES = ("age", "income", "household_size")

GAPS_DAYS = ((0, 0, 1, 3, 8, 20), (0, 1, 8, 40, 100, 400, 800))
"""Days between an event and the one before it, of every second user: some act each week, some each year."""
WITHOUT_PURCHASES = 4
"""Each user whose number leaves 3 when divided by this only looks, searches and reviews."""


@dataclass(frozen=True)
class GoldenEvents:
    """``summaries.ROWS`` of n users, one user after another, and the platform they buy on."""

    rows: pa.RecordBatch
    population: Population


def make_users(spec: HistorySpec) -> Users:
    """The made-up users as a model with ``spec`` sees them."""
    return summarise(make_events(spec), spec)


def make_events(spec: HistorySpec) -> GoldenEvents:
    """The same events every time, on a platform whose money numbers are those of ``spec``."""
    dice = random.Random(SEED)
    rows = [row for number in range(GOLDEN_USERS) for row in _user(dice, number)]
    return GoldenEvents(pa.RecordBatch.from_pylist(rows, ROWS), _population(spec))


def summarise(events: GoldenEvents, spec: HistorySpec) -> Users:
    """Recent events and numbers, by the code that computes them for a night."""
    summary = summarise_rows(events.rows, events.population.as_of, spec)
    histories = summary.column("history").to_pylist(maps_as_pydicts="strict")
    numbers: pd.DataFrame = summary.select(list(spec.numbers)).to_pandas()
    return Users(histories, numbers, events.population)


def _population(spec: HistorySpec) -> Population:
    quantiles = {name: 2_000 * np.asarray(QUANTILE_PROBABILITIES) ** 2 for name in spec.money_numbers}
    return Population(AS_OF, 1_000, 100.0, quantiles)


def _user(dice: random.Random, number: int) -> list[dict[str, Any]]:
    """The rows of one user: what is known of the user, then events from the newest to the oldest."""
    user, today = f"golden-{number:02}", day_number(AS_OF)
    rows: list[dict[str, Any]] = []
    if number % 5 != 4:
        rows.append({"user_id": user, "known": True, **_known(dice, today)})
    day = today - dice.choice((1, 2, 5, 20, 70))
    for place in range(1 + 4 * number):
        event = _purchase_of_a_cartridge() if number == 0 else _event(dice, number, place)
        # Some events of a day have the same time, so that their ids decide which is newer.
        time = day * MICROSECONDS_A_DAY + 1_000 - place // 2
        rows.append({"user_id": user, "event_id": f"{number}-{dice.random()}", "event_time": time, "day": day, **event})
        day -= dice.choice(GAPS_DAYS[number % 2])
    return rows


def _known(dice: random.Random, today: int) -> dict[str, Any]:
    attributes = {name: f"{dice.randint(1, 9)}0-{dice.randint(1, 9)}5K" for name in ATTRIBUTES if dice.random() < 0.5}
    country = dice.choice(GOLDEN_COUNTRIES)
    profile = dict(sorted((attributes | ({"country": country} if country else {})).items()))
    return {
        "signup": dice.choice((None, today + 3, *(today - dice.randint(1, 3_000) for _ in range(4)))),
        "profile": json.dumps(profile, ensure_ascii=False) if profile else None,
        "profile_key": _key(*profile.items()),
    }


def _purchase_of_a_cartridge() -> dict[str, Any]:
    bought = {"event_type": EVENT_TYPES.index("purchase"), "order": 1, "quantity": TEN_THOUSANDTHS, "amount": 350_000}
    return bought | _product(PRINTER_CARTRIDGE)


def _event(dice: random.Random, number: int, place: int) -> dict[str, Any]:
    looks_only = number % WITHOUT_PURCHASES == WITHOUT_PURCHASES - 1
    kinds = [kind for kind in EVENT_TYPES if not looks_only or kind not in ("purchase", "return")]
    kind = kinds[(number + place) % len(kinds)]
    traded = kind in ("purchase", "return")
    amount = dice.choice((None, *(dice.randint(1, 5_000_000) for _ in range(6)))) if traded else None
    mark_up = dice.choice((None, 1.0, 1.25, 2.0))
    text = dice.choice(GOLDEN_TEXTS) if kind in ("search", "review") else None
    return {
        "event_type": EVENT_TYPES.index(kind),
        "order": place // 9 if traded and dice.random() < 0.9 else None,
        "amount": amount,
        "list_value": None if amount is None or mark_up is None else int(amount * mark_up),
        "quantity": dice.choice((None, 5_000, 10_000, 20_000, 120_000)),
        **{name: dice.choice((None, *range(len(CODED[name])))) for name in ("price_relation", "price_level")},
        **({} if kind == "search" else _product(dice.randrange(len(GOLDEN_PRODUCTS)))),
        "text": text,
        "text_key": _key(text),
    }


def _product(place: int) -> dict[str, Any]:
    title, category, brand = GOLDEN_PRODUCTS[place]
    return {
        "title": title,
        "category": category,
        "brand": brand,
        "product": place,
        "product_key": _key(title, category, brand),
        "top_category": _key(category.partition(" > ")[0]) if category else None,
    }


def _key(*words: object) -> int | None:
    """A number for some words, the same for the same words; None where there are none."""
    return zlib.crc32(repr(words).encode()) if any(words) else None
