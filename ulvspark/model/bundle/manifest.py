"""``manifest.json``: what a bundle says about itself, and the version that is computed from it."""

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pydantic import FiniteFloat, field_validator

from ulvspark.contract.config import Strict, validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.protocol import Protocol
from ulvspark.contract.spec import HistorySpec, NetworkSpec, TextSpec, TierSpec
from ulvspark.history.numbers import NUMBERS_VERSION
from ulvspark.model.bundle.checksums import checksums, digest
from ulvspark.model.encoder.precision import Precision
from ulvspark.model.parts.blend import Weights

FORMAT_VERSION = 3
VERSION_PATTERN = re.compile(r"\d{8}-[0-9a-f]{12}")
MANIFEST = "manifest.json"


class PrecisionEvidence(Strict):
    """What serving in one precision did to the vectors and tiers of a sample of users, compared with fp32."""

    users: int
    """Users in the sample."""
    equal_tiers: FiniteFloat
    """Share of the users whose most likely tier is the same as in fp32."""
    batch_change: FiniteFloat
    """Largest change of a vector (of any of its numbers) when its batch changes."""
    users_per_second: FiniteFloat
    """Encoded by this process, by its processor time; only to compare the precisions with each other."""


class BundleFacts(Strict):
    """The part of the manifest that training knows and that cannot be derived from the bundle's files."""

    history: HistorySpec
    text: TextSpec
    network: NetworkSpec
    tiers: TierSpec
    horizon_days: int
    currency: str
    """Of the training data. Scores are in the currency of the warehouse for which they are made."""
    time_zone: str
    base_model: str
    data_versions: dict[str, int]
    """Version of each Delta table that was read."""
    training_origins: tuple[date, ...]
    """Dates whose labels it learned from."""
    protocol: Protocol | None = None
    """All dates of its training set."""
    metrics: dict[str, FiniteFloat]
    seed: int
    code_version: str
    config: dict[str, Any]
    """The resolved training configuration."""
    blend: Weights | None = None
    """Weight of each part, by head; None: the network alone."""
    precision: Precision = "fp32"
    """In which the base encoder is served."""
    precision_evidence: dict[Precision, PrecisionEvidence] | None = None
    """What each precision did to a sample of users; None where that was not measured."""


class Manifest(BundleFacts):
    """``manifest.json``."""

    format_version: int
    version: str
    """Date and hash of everything else in the manifest, including the files' checksums."""
    created_at: datetime
    numbers: tuple[str, ...]
    """Names of a user's numbers, in the order in which the network and the other parts read them."""
    numbers_version: int
    """``numbers.NUMBERS_VERSION`` of the code that made the bundle."""
    user_encoder_version: str
    """Changes with everything that changes a user's vector, and with nothing else: the key of kept vectors."""
    text_encoder_version: str | None
    """The same for the vector of a text (unit ``event``); the key of the table ``text_vectors``."""
    files: dict[str, str]
    """SHA-256 of each file but the manifest, by its path within the folder."""

    @field_validator("files")
    @classmethod
    def _stay_within_the_folder(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            # Files are downloaded to these paths.
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"{name} leaves the folder of the bundle")
        return files


class EncoderVersions(NamedTuple):
    """Keys of kept vectors."""

    text: str | None
    user: str


def write_manifest(folder: Path, facts: BundleFacts, versions: EncoderVersions) -> Manifest:
    """Write the manifest of the files in ``folder``."""
    created_at = datetime.now(UTC)
    content = {
        **facts.model_dump(mode="json"),
        "format_version": FORMAT_VERSION,
        "created_at": created_at.isoformat(timespec="seconds"),
        "numbers": list(facts.history.numbers),
        "numbers_version": NUMBERS_VERSION,
        "user_encoder_version": versions.user,
        "text_encoder_version": versions.text,
        "files": {name: checksum for name, checksum in checksums(folder).items() if name != MANIFEST},
    }
    content["version"] = bundle_version(content)
    manifest = validate(Manifest, content, str(folder / MANIFEST))
    (folder / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def bundle_version(content: dict[str, Any]) -> str:
    """The version of a manifest with this content, whatever ``content`` itself gives as its version."""
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
    _check_format(content.get("format_version") if isinstance(content, dict) else None, path)
    if content.get("version") != bundle_version(content):
        raise ExpectedError(f"{path}: changed since it was written; fetch the bundle again")
    return validate(Manifest, content, str(path))


def _check_format(version: object, path: Path) -> None:
    if version == FORMAT_VERSION:
        return
    if isinstance(version, int) and version < FORMAT_VERSION:
        remedy = "run model_training.finetune (and model_training.blend, if it was blended) again with this code"
    else:
        remedy = "use the version of ulvspark that made it"
    raise ExpectedError(f"{path}: format version {version!r}, this code reads {FORMAT_VERSION}; {remedy}")


def check_currency(manifest: Manifest, currency: str) -> None:
    """Raises ExpectedError where the bundle's tier bounds are amounts in another currency than the warehouse's."""
    if manifest.tiers.unit == "currency" and manifest.currency != currency:
        raise ExpectedError(
            f"bundle {manifest.version} has tier bounds in {manifest.currency}, the warehouse is in "
            f"{currency}; train with tiers by quantile, or on data in {currency}"
        )
