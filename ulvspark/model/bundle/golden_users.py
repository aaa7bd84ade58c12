"""Made-up users that travel with a bundle: what they must render, tokenize and score to, wherever it is loaded."""

import json
import random
import zlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.heads import HEADS
from ulvspark.contract.schema import EVENT_TYPES, PRICE_LEVELS, PRICE_RELATIONS
from ulvspark.contract.spec import HistorySpec
from ulvspark.history.population import KNOT_PROBABILITIES, Population
from ulvspark.model.bundle.manifest import BundleFacts
from ulvspark.model.inference.reader import Reader, Vectors, in_float32
from ulvspark.model.inference.scorer import Scorer

GOLDEN = "golden.parquet"
GOLDEN_USERS = 20
SEED = 20_191_212

TOLERANCE = 1e-4
"""Absolute and relative, on every score of vectors in float32: well above what another CPU does to them."""

ROUNDED = 0.1
"""The most that vectors in fewer bits may be away from those in float32, in lengths of the latter.

MiniLM's are .006 away in bfloat16 and .02 in int8; where products of int8 overflow, 0.5 and more. Another CPU rounds
differently, which moves a vector by as much as it is away from float32: no scores could be promised of it.
"""

SCORES = tuple(name for head in HEADS.values() for name in head.columns)

TITLES = (
    "White Hanging Heart T-Light Holder", "RED  WOOLLY HOTTIE", "mug “Café” No. 7 🎁", "经典红茶 250g", None,
    "Jumbo bag – pink polka-dot", "👩‍👩‍👧 family puzzle", "x" * 300, "screws (M4×20), 100 pcs", "Crème brûlée set",
)  # fmt: skip
TEXTS = (
    "gift bags",
    "Great quality 😍 would buy again!",
    "不错,很喜欢",
    None,
    "too small. " * 5_000,
    'it\'s "fine"\n\tI guess',
)
COUNTRIES = ("United Kingdom", "EIRE", "中国", None)
ATTRIBUTES = ("age", "income", "household_size")


@dataclass(frozen=True)
class GoldenUsers:
    """Inputs: n histories, n rows of numbers, and the platform they live on."""

    histories: list[dict[str, Any]]
    numbers: pd.DataFrame
    population: Population


Columns = dict[str, list[Any]]
"""Results by column of golden.parquet, a value a user; what a bundle does not make has no column."""


def make_users(spec: HistorySpec) -> GoldenUsers:
    """The same users for the same spec, with every event type, missing fields, long texts and other scripts."""
    dice = random.Random(SEED)
    histories = [_history(dice, number, spec) for number in range(GOLDEN_USERS)]
    values = [[_value(dice) for _ in spec.numbers] for _ in histories]
    numbers = pd.DataFrame(values, columns=list(spec.numbers), dtype=np.float64)
    knots = {name: 50 * np.asarray(KNOT_PROBABILITIES) ** 2 for name in spec.money_numbers}
    return GoldenUsers(histories, numbers, Population(date(2020, 2, 29), 1_000, 100.0, knots))


def _history(dice: random.Random, number: int, spec: HistorySpec) -> dict[str, Any]:
    attributes = {name: f"{dice.randint(1, 9)}0-{dice.randint(1, 9)}5K" for name in ATTRIBUTES if dice.random() < 0.5}
    events = [_event(dice, number + place) for place in range(min(1 + 2 * number, spec.last_events))]
    events[-1]["gap_days"] = None
    return {"profile": {"country": dice.choice(COUNTRIES), **attributes}, "events": events}


def _event(dice: random.Random, place: int) -> dict[str, Any]:
    kind = EVENT_TYPES[place % len(EVENT_TYPES)]
    product = {
        "title": None if kind == "search" else dice.choice(TITLES),
        "category": dice.choice((None, "Home > Kitchen > Mugs", "Grocery")),
        "brand": dice.choice((None, "ACME")),
    }
    text = dice.choice(TEXTS) if kind in ("search", "review") else None
    return {
        "event_type": kind,
        "order_id": str(place // 3) if kind in ("purchase", "return") else None,
        "gap_days": dice.choice((0, 0, 0, 1, 3, 8, 40, 100, 800)),
        "quantity": dice.choice((None, 1.0, 2.0, 12.0, 0.5)),
        "price_relation": dice.choice((None, *PRICE_RELATIONS)),
        "price_level": dice.choice((None, *PRICE_LEVELS)),
        **product,
        "text": text,
        "product_key": _key(*product.values()),
        "text_key": _key(text),
    }


def _key(*words: str | None) -> int | None:
    """Stands for words; equal only for equal ones."""
    return zlib.crc32(repr(words).encode()) if any(words) else None


def _value(dice: random.Random) -> float:
    return float("nan") if dice.random() < 0.1 else dice.random() * dice.choice((0.0, 1.0, 50.0))


def readings(users: GoldenUsers, reader: Reader | None) -> Columns:
    """Texts and token ids. ``reader`` is None where the network reads no text."""
    if reader is None:
        return {}
    return reader.readings(users.histories)


def vectors(users: GoldenUsers, reader: Reader | None) -> Vectors:
    """(n, vector_size), or (n, 0) where the network reads no text."""
    return np.empty((len(users.histories), 0), np.float32) if reader is None else reader.encode(users.histories)


def scores(users: GoldenUsers, vectors: Vectors, scorer: Scorer) -> Columns:
    """What is decided of the users."""
    found = scorer.decide(vectors, users.numbers, users.population)
    return {name: values.tolist() for name, values in found.items()}


def write(path: Path, users: GoldenUsers, expected: Columns) -> None:
    """Save inputs and results as Parquet: a row a user; the population is in the file's metadata."""
    columns: dict[str, Any] = {
        "history": [json.dumps(history, ensure_ascii=False) for history in users.histories],
        "numbers": users.numbers.to_numpy().tolist(),
        **expected,
    }
    row = users.population.to_row("golden")
    metadata = {"population": json.dumps({**row, "as_of_date": row["as_of_date"].isoformat()})}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)


def read(path: Path, spec: HistorySpec) -> tuple[GoldenUsers, Columns]:
    """The users that ``write`` saved, and what was expected of them."""
    table = pq.read_table(path)
    columns: Columns = table.to_pydict()
    row = json.loads(table.schema.metadata[b"population"])
    population = Population.from_row({**row, "as_of_date": date.fromisoformat(row["as_of_date"])})
    numbers = pd.DataFrame(columns.pop("numbers"), columns=list(spec.numbers), dtype=np.float64)
    histories = [json.loads(history) for history in columns.pop("history")]
    return GoldenUsers(histories, numbers, population), columns


def check(path: Path, facts: BundleFacts, reader: Reader | None, scorer: Scorer) -> None:
    """Score the users in ``path`` again.

    Raises ExpectedError saying which user differs in what: texts and ids exactly, scores by more than ``TOLERANCE``,
    and where vectors in the precision that is served are further from float32 than ``ROUNDED``.
    """
    users, expected = read(path, facts.history)
    # Before anything is scored: ids that have become wrong may be more than the network can take.
    _compare({name: values for name, values in expected.items() if name not in SCORES}, readings(users, reader), facts)
    exact = in_float32(reader)
    true = vectors(users, exact)
    _compare(
        {name: values for name, values in expected.items() if name in SCORES},
        scores(users, true, scorer),
        facts,
    )
    if reader is not exact:
        _check_rounding(vectors(users, reader), true, facts)


def _check_rounding(served: Vectors, true: Vectors, facts: BundleFacts) -> None:
    away = float(np.sqrt(np.square(served - true).mean() / np.square(true).mean()))
    if not away <= ROUNDED:
        raise ExpectedError(
            f"self-test: vectors in {facts.precision} are {away:.2g} of their length away from those in float32, more "
            f"than {ROUNDED}: this machine or its version of torch does not compute in {facts.precision} as it should; "
            "serve the model in fp32"
        )


def _compare(expected: Columns, found: Columns, facts: BundleFacts) -> None:
    advice = f"score with the code that made the bundle ({facts.code_version}) or train a new bundle with this code"
    if found.keys() != expected.keys():
        raise ExpectedError(f"self-test: the bundle expects {sorted(expected)}, got {sorted(found)}; {advice}")
    for name, values in expected.items():
        for user, (want, have) in enumerate(zip(values, found[name], strict=True)):
            if not _same(name, want, have):
                raise ExpectedError(
                    f"self-test: golden user {user} has another {name}: expected {_short(want)}, got {_short(have)};"
                    f" {advice}"
                )


def _same(name: str, want: object, have: object) -> bool:
    if name in SCORES:
        return bool(np.allclose(np.asarray(want), np.asarray(have), rtol=TOLERANCE, atol=TOLERANCE))
    return bool(want == have)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
