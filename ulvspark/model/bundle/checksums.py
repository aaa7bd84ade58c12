"""SHA-256 of files and of JSON-like values."""

import hashlib
import json
from pathlib import Path


def sha256(path: Path) -> str:
    """Of the bytes of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> list[str]:
    """Paths of all files below ``folder``, relative to it, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below ``folder``, by relative path."""
    return {name: sha256(folder / name) for name in files_below(folder)}


def digest(content: object) -> str:
    """SHA-256 of ``content`` as canonical JSON, in hex."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
