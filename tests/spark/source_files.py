"""A company's tables as small files, with a mapping to load them by."""

import json
from pathlib import Path

import pandas as pd
import yaml

PROTOCOL = {
    "horizon_days": 30,
    "training_origins": ["2024-01-01"],
    "validation_cut": "2024-02-01",
    "test_cut": "2024-03-02",
}
COLUMNS = {
    "event_id": "line",
    "user_id": "customer",
    "event_time": "time",
    "event_type": "kind",
    "product_id": "sku",
    "quantity": "pieces",
    "unit_price": "price",
}
GOOD = {
    "line": "1", "customer": "ann", "time": "2024-01-05 12:00:00", "kind": "purchase", "sku": "mug", "pieces": "2",
    "price": "3.50", "money": "GBP",
}  # fmt: skip


def row(**changes: str | None) -> dict[str, str | None]:
    return GOOD | changes


def write(folder: Path, rows: list[dict], name: str = "lines.parquet") -> Path:
    """Rows as a file of strings, Parquet or CSV by its ending."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows, dtype="string")
    frame.to_csv(folder / name, index=False) if name.endswith(".csv") else frame.to_parquet(folder / name)
    return folder


def source(columns: dict[str, str] | None = None, **changes: object) -> dict:
    """The content of a source YAML: one event table, ``lines.parquet``; ``changes`` replace keys at the top."""
    events = {"read": {"format": "parquet", "path": "lines.parquet"}, "columns": columns or COLUMNS}
    base = {"name": "shop", "currency": "GBP", "time_zone": "Europe/London", "events": [events], "protocol": PROTOCOL}
    return base | changes


def write_yaml(path: Path, content: dict) -> str:
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content))))
    return str(path)
