"""A trained model as a folder without pickle: saved whole or not at all, checked byte by byte when loaded."""

import copy
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from ulvspark.contract.disk import full_disk_as_expected_error
from ulvspark.contract.spec import TextSpec
from ulvspark.history.features import feature_names
from ulvspark.model.bundle import golden_users
from ulvspark.model.bundle.card import model_card
from ulvspark.model.bundle.loading import ENCODER, HEADS, VECTOR, read_weights, scorer
from ulvspark.model.bundle.manifest import (
    BundleFacts,
    EncoderVersions,
    Manifest,
    checksums,
    digest,
    verify,
    write_manifest,
)
from ulvspark.model.encoder.adapter import save_backbone, with_adapter
from ulvspark.model.encoder.backbone import load_backbone
from ulvspark.model.encoder.cpu_engine import CpuEngine
from ulvspark.model.encoder.gpu_engine import GpuEngine
from ulvspark.model.encoder.precision import DTYPES, Precision
from ulvspark.model.encoder.tokenizing import load_tokenizer
from ulvspark.model.inference.reader import EventReader, HistoryReader, Reader, in_float32
from ulvspark.model.network.network import UserValueNetwork, build_network
from ulvspark.model.network.sequence import EventEncoder
from ulvspark.model.parts.parts import Parts, read_parts, write_parts

__all__ = ["Bundle", "BundleFacts", "Manifest", "extend", "load", "save"]

logger = logging.getLogger(__name__)

CARD = "README.md"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle; the tokenizer is None where it reads no text.

    The network is in evaluation mode on the CPU, its base encoder in the type that is stored.
    """

    manifest: Manifest
    network: UserValueNetwork
    tokenizer: PreTrainedTokenizerBase | None
    parts: Parts


def reader(
    network: UserValueNetwork,
    tokenizer: PreTrainedTokenizerBase | None,
    spec: TextSpec,
    precision: Precision = "fp32",
    device: torch.device = CPU,
) -> Reader | None:
    """What turns histories into vectors, BERT on ``device``; None where the network reads no text."""
    if network.encoder is None or tokenizer is None:
        return None
    if device.type == "cpu":
        engine: CpuEngine | GpuEngine = CpuEngine(network.encoder, precision)
    else:
        engine = GpuEngine(network.encoder, "fp32" if precision == "fp32" else "bf16", device)
    if isinstance(network.encoder, EventEncoder):
        return EventReader(network.encoder, tokenizer, spec, engine)
    return HistoryReader(network.encoder, tokenizer, spec, engine)


def save(
    folder: str | Path, network: UserValueNetwork, tokenizer: PreTrainedTokenizerBase | None, facts: BundleFacts
) -> Manifest:
    """Write ``network`` and all it needs to score into ``folder``; adapters merged into its weights where they can be.

    Written beside and renamed, so a bundle that was there stays whole if this fails. Raises ExpectedError where the
    disk is full.
    """
    folder = Path(folder)
    frozen = copy.deepcopy(network).cpu().float().eval()
    if frozen.encoder is not None:
        frozen.encoder.backbone.to(DTYPES[facts.precision])
    with _replacing(folder) as partial:
        _write_weights(partial, frozen, tokenizer)
        manifest = _describe(partial, facts, frozen, tokenizer, Parts())
    logger.info("saved bundle %s in %s", manifest.version, folder)
    return manifest


def extend(folder: str | Path, source: str | Path, facts: BundleFacts, parts: Parts) -> Manifest:
    """Write into ``folder`` the network of the bundle ``source``, byte by byte, with ``parts`` instead of its own.

    ``facts`` says of the new bundle what has changed. Its user_encoder_version is the old one. Raises ExpectedError
    where ``source`` is corrupted or the disk is full.
    """
    old, folder = load(source), Path(folder)
    with _replacing(folder) as partial:
        for name in old.manifest.files:
            if name == HEADS or name.startswith(f"{ENCODER}/"):
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(source) / name, partial / name)
        write_parts(partial, parts)
        manifest = _describe(partial, facts, old.network, old.tokenizer, parts)
    logger.info("saved bundle %s, %s with other parts, in %s", manifest.version, old.manifest.version, folder)
    return manifest


def _describe(
    folder: Path,
    facts: BundleFacts,
    network: UserValueNetwork,
    tokenizer: PreTrainedTokenizerBase | None,
    parts: Parts,
) -> Manifest:
    """Add to the weights what is derived from them: golden users, model card, manifest."""
    users, texts = golden_users.make_users(facts.history), reader(network, tokenizer, facts.text, facts.precision)
    readings = golden_users.readings(users, texts)
    vectors = golden_users.vectors(users, in_float32(texts))
    scores = golden_users.scores(users, vectors, scorer(network.decider, facts, parts))
    golden_users.write(folder / golden_users.GOLDEN, users, readings | scores)
    (folder / CARD).write_text(model_card(facts), encoding="utf-8")
    return write_manifest(folder, facts, _versions(folder, facts, readings))


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``folder`` at the end, or disappears."""
    with full_disk_as_expected_error(f"saving the bundle {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            yield partial
            _swap(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _swap(partial: Path, folder: Path) -> None:
    partial.chmod(0o755)  # mkdtemp keeps others out; a bundle is to be read.
    if not folder.exists():
        partial.rename(folder)
        return
    old = partial.with_name(f"{partial.name}.old")
    folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old)


def _write_weights(folder: Path, network: UserValueNetwork, tokenizer: PreTrainedTokenizerBase | None) -> None:
    save_file(_weights(network.decider), folder / HEADS)
    if network.encoder is None or tokenizer is None:
        return
    save_backbone(network.encoder.backbone, folder / ENCODER)
    # How the tokenizer was last used is no part of it, but would be saved and change the encoder's version.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder / ENCODER)
    save_file(_weights(network.encoder.beside_backbone()), folder / ENCODER / VECTOR)


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in module.state_dict().items()}


def _versions(folder: Path, facts: BundleFacts, readings: golden_users.Columns) -> EncoderVersions:
    """Hashes of all that shapes a vector: weights, tokenizer, specs, and the renderer by the golden users' texts."""
    if not facts.network.use_text:
        return EncoderVersions(text=None, user="no-text")
    files = checksums(folder / ENCODER)
    vector = files.pop(VECTOR)
    reads = {
        "files": files,
        "text": facts.text.model_dump(),
        "unit": facts.network.unit,
        "pooling": facts.network.pooling,
        "precision": facts.precision,
        "texts": [values for name, values in readings.items() if name != "input_ids"],
    }
    text = digest(reads)[:16]
    user = digest({"text": text, "vector": vector, "recent_events": facts.history.recent_events})[:16]
    return EncoderVersions(text=text if facts.network.unit == "event" else None, user=user)


def load(folder: str | Path) -> Bundle:
    """Read a bundle. Raises ExpectedError naming the file that is missing, unknown, corrupted or does not fit."""
    folder = Path(folder)
    manifest = verify(folder)
    spec = manifest.network
    backbone = _read_backbone(folder / ENCODER, manifest.precision) if spec.use_text else None
    network = build_network(spec, backbone, manifest.history, len(manifest.tiers.names))
    read_weights(network.decider, folder / HEADS)
    if network.encoder is not None:
        read_weights(network.encoder.beside_backbone(), folder / ENCODER / VECTOR)
    tokenizer = load_tokenizer(folder / ENCODER) if spec.use_text else None
    return Bundle(manifest, network.eval(), tokenizer, read_parts(folder, len(feature_names(manifest.history))))


def _read_backbone(folder: Path, precision: Precision) -> nn.Module:
    return with_adapter(load_backbone(folder, DTYPES[precision]), folder)
