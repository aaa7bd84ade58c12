"""What the golden users come to (numbers, texts, token ids, scores), and the file that keeps it beside their events."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ulvspark.contract.heads import HEADS
from ulvspark.history.population import Population
from ulvspark.history.summaries import ROWS
from ulvspark.model.bundle.golden_users import GoldenEvents
from ulvspark.model.inference.reader import Reader, Vectors
from ulvspark.model.inference.scorer import Scorer
from ulvspark.model.inference.users import Users

GOLDEN = "golden.parquet"

NUMBERS = "numbers"
RECENT_EVENTS = "recent_events"
RENDERED_FIELDS = ("title", "category", "brand", "text")
"""Fields of an event that the rendered texts show; of recent events the others are kept."""
TEXT_COLUMNS = ("profile", "events", "texts")
"""Columns of rendered texts; which of them there are depends on the unit of text."""
GOLDEN_SCORES = tuple(name for head in HEADS.values() for name in head.columns)
"""Columns of scores; a bundle fills those of its heads."""

Columns = dict[str, list[Any]]
"""Results by name, a value for each user; what a bundle does not compute has no column."""


def inputs(users: Users, reader: Reader | None) -> Columns:
    """What the model is given: the numbers by name and, where it reads text, recent events, texts and token ids."""
    values = users.numbers.astype(object).where(users.numbers.notna(), None)
    numbers: Columns = {NUMBERS: values.to_dict("records")}
    if reader is None:
        return numbers
    recent = [_without_words(history["events"]) for history in users.histories]
    return numbers | {RECENT_EVENTS: recent} | reader.texts_and_ids(users.histories)


def _without_words(events: list[dict[str, Any]]) -> str:
    """As JSON: the words stand in the texts."""
    return json.dumps(
        [{name: value for name, value in event.items() if name not in RENDERED_FIELDS} for event in events]
    )


def vectors(users: Users, reader: Reader | None) -> Vectors:
    """(n, vector_size), or (n, 0) where the network reads no text."""
    return np.empty((len(users.histories), 0), np.float32) if reader is None else reader.encode(users.histories)


def scores(users: Users, vectors: Vectors, scorer: Scorer) -> Columns:
    """What the scorer decides for the users."""
    decisions = scorer.decide(vectors, users.numbers, users.population)
    return {name: decisions[name].tolist() for name in GOLDEN_SCORES if name in decisions}


def write(path: Path, events: GoldenEvents, expected: Columns) -> None:
    """Save events and results as Parquet: a row for each user; the platform is in the file's metadata."""
    users = events.rows.column("user_id").to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.append(True, users[1:] != users[:-1]))
    offsets = pa.array(np.append(starts, len(users)), pa.int32())
    rows = pa.ListArray.from_arrays(offsets, events.rows.to_struct_array())
    row = events.population.to_row("golden")
    metadata = {"population": json.dumps({**row, "as_of_date": row["as_of_date"].isoformat()})}
    pq.write_table(pa.table({"rows": rows, **expected}).replace_schema_metadata(metadata), path)


def read(path: Path) -> tuple[GoldenEvents, Columns]:
    """The events that ``write`` saved, and the results that were expected from them."""
    table = pq.read_table(path)
    rows = pa.RecordBatch.from_struct_array(table.column("rows").combine_chunks().flatten()).cast(ROWS)
    row = json.loads(table.schema.metadata[b"population"])
    population = Population.from_row({**row, "as_of_date": date.fromisoformat(row["as_of_date"])})
    return GoldenEvents(rows, population), table.drop_columns(["rows"]).to_pydict()
