"""What a bundle says of itself: its manifest, its version and the checksums of its files."""

import hashlib
import json
import re
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pydantic import FiniteFloat, field_validator

from ulvspark.contract.config import Strict, validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import HistorySpec, NetworkSpec, TextSpec, TierSpec
from ulvspark.model.encoder.precision import Precision
from ulvspark.model.parts.blend import Weights

FORMAT_VERSION = 1
VERSION_PATTERN = re.compile(r"\d{8}-[0-9a-f]{12}")
MANIFEST = "manifest.json"


class Agreement(Strict):
    """What a precision does to the vectors and tiers of a sample of users, beside fp32."""

    users: int
    equal_tiers: FiniteFloat
    """Share of them whose most likely tier is the one of fp32."""
    batch_change: FiniteFloat
    """The most that a number in a user's vector changes with whom it is read with."""
    users_per_second: FiniteFloat
    """Read by this process, by its processor time; to compare precisions with."""


class BundleFacts(Strict):
    """What training knows of a bundle and cannot be derived from its files."""

    history: HistorySpec
    text: TextSpec
    network: NetworkSpec
    tiers: TierSpec
    horizon_days: int
    currency: str
    """Of the training data; scores are in the currency of the warehouse they are made for."""
    time_zone: str
    base_model: str
    data_versions: dict[str, int]
    training_origins: tuple[date, ...]
    metrics: dict[str, FiniteFloat]
    seed: int
    code_version: str
    config: dict[str, Any]
    """The resolved training configuration."""
    blend: Weights | None = None
    """How much each part says, by head; None: the network alone."""
    precision: Precision = "fp32"
    """The base encoder is served in."""
    agreement: dict[Precision, Agreement] | None = None
    """How well it was found to agree with fp32 in each precision; None where that was not measured."""


class Manifest(BundleFacts):
    """``manifest.json``."""

    format_version: int
    version: str
    """Date and hash of all that the manifest says, the files' checksums among it."""
    created_at: datetime
    user_encoder_version: str
    """Changes with whatever changes a user's vector and with nothing else: the key of cached vectors."""
    text_encoder_version: str | None
    """Of unit ``event``: changes with whatever changes the vector of a text; the key of ``text_vectors``."""
    files: dict[str, str]
    """SHA-256 of each file but the manifest, by its path within the folder."""

    @field_validator("files")
    @classmethod
    def _within(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            # Files are fetched by these names.
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"{name} leaves the folder of the bundle")
        return files


class EncoderVersions(NamedTuple):
    """What vectors are kept by."""

    text: str | None
    user: str


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below ``folder`` but the manifest, by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


def sha256(path: Path) -> str:
    """Of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: object) -> str:
    """SHA-256 of ``content`` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(folder: Path, facts: BundleFacts, versions: EncoderVersions) -> Manifest:
    """Describe the files of ``folder`` in its manifest."""
    created_at = datetime.now(UTC)
    content = {
        **facts.model_dump(mode="json"),
        "format_version": FORMAT_VERSION,
        "created_at": created_at.isoformat(timespec="seconds"),
        "user_encoder_version": versions.user,
        "text_encoder_version": versions.text,
        "files": checksums(folder),
    }
    content["version"] = _version(content)
    manifest = validate(Manifest, content, str(folder / MANIFEST))
    (folder / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def _version(content: dict[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "version"}
    return f"{str(content.get('created_at'))[:10].replace('-', '')}-{digest(rest)[:12]}"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of ``folder``. Raises ExpectedError where it is missing, of another format or was changed."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ExpectedError(f"{path}: no such file; give the folder of a bundle") from None
    except ValueError as error:
        raise ExpectedError(f"{path}: not valid JSON ({error}); fetch the bundle again") from None
    found = content.get("format_version") if isinstance(content, dict) else None
    if found != FORMAT_VERSION:
        raise ExpectedError(f"{path}: format version {found!r}, this code reads {FORMAT_VERSION}; use matching code")
    if content.get("version") != _version(content):
        raise ExpectedError(f"{path}: changed since it was written; fetch the bundle again")
    return validate(Manifest, content, str(path))


def check_currency(manifest: Manifest, currency: str) -> None:
    """Raises ExpectedError where a warehouse in ``currency`` cannot be divided by the bundle's tier bounds in money."""
    if manifest.tiers.unit == "currency" and manifest.currency != currency:
        raise ExpectedError(
            f"bundle {manifest.version} has tier bounds in {manifest.currency}, the warehouse is in "
            f"{currency}; train with tiers by quantile, or on data in {currency}"
        )


def verify(folder: Path) -> Manifest:
    """Check every file of a bundle against its manifest. Raises ExpectedError naming the first that differs."""
    manifest = read_manifest(folder)
    found = checksums(folder)
    for name in sorted({*found, *manifest.files}):
        if name not in found:
            raise ExpectedError(f"{folder / name}: missing from the bundle; fetch the bundle again")
        if name not in manifest.files:
            raise ExpectedError(f"{folder / name}: not part of the bundle; remove it or fetch the bundle again")
        if found[name] != manifest.files[name]:
            raise ExpectedError(f"{folder / name}: corrupted, its checksum differs; fetch the bundle again")
    return manifest
