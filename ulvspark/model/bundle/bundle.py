"""Saves a trained model as a folder without pickle, whole or not at all, and loads it, every file checked."""

import copy
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ulvspark.contract.storage.disk import full_disk_as_expected_error, new_folder
from ulvspark.history import text
from ulvspark.model.bundle import golden_results, golden_users
from ulvspark.model.bundle.card import model_card
from ulvspark.model.bundle.checksums import checksums, digest
from ulvspark.model.bundle.files import BundleFiles, open_bundle
from ulvspark.model.bundle.golden_results import GOLDEN
from ulvspark.model.bundle.loading import ENCODER, HEADS, VECTOR, build_scorer, load_parts, read_weights
from ulvspark.model.bundle.manifest import BundleFacts, EncoderVersions, Manifest, write_manifest
from ulvspark.model.encoder.adapter import save_backbone
from ulvspark.model.encoder.backbone import load_to_serve
from ulvspark.model.encoder.precision import DTYPES
from ulvspark.model.encoder.tokenizing import AnyTokenizer, ServedTokenizer, read_tokenizer, save_tokenizer
from ulvspark.model.inference.reader import CPU, build_reader
from ulvspark.model.network.network import UserValueNetwork, build_network
from ulvspark.model.parts.parts import Parts, write_parts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Bundle", "BundleFacts", "Manifest", "extend", "load", "load_opened", "save"]

logger = logging.getLogger(__name__)

CARD = "README.md"


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle. The network is in evaluation mode on the CPU, its base encoder in the type that is stored.

    A base encoder that was loaded to be run on the CPU may be one that only ``CpuEngine`` can run.
    """

    folder: Path
    manifest: Manifest
    network: UserValueNetwork
    tokenizer: ServedTokenizer | None
    """None where the network reads no text."""
    parts: Parts


def save(
    folder: str | Path, network: UserValueNetwork, tokenizer: "PreTrainedTokenizerBase | None", facts: BundleFacts
) -> Manifest:
    """Write ``network`` and all it needs to score into the new ``folder``.

    ``folder`` appears when all of it is written, and not at all if this fails or is killed. Raises ExpectedError where
    ``folder`` exists or the disk is full.
    """
    folder = Path(folder)
    frozen = copy.deepcopy(network).cpu().float().eval()
    if frozen.encoder is not None:
        frozen.encoder.backbone.to(DTYPES[facts.precision])
    with full_disk_as_expected_error(f"saving the bundle {folder}"), new_folder(folder) as partial:
        _write_weights(partial, frozen, tokenizer)
        manifest = _describe(partial, facts, frozen, tokenizer, Parts())
    logger.info("saved bundle %s in %s", manifest.version, folder)
    return manifest


def extend(folder: str | Path, source: str | Path, facts: BundleFacts, parts: Parts) -> Manifest:
    """Write into the new ``folder`` the network of the bundle ``source``, byte by byte, with ``parts`` for its own.

    ``facts`` describes the new bundle. The encoder versions stay the same, so kept vectors can be used. Raises
    ExpectedError where ``source`` is corrupted, ``folder`` exists or the disk is full.
    """
    old, folder = load(source), Path(folder)
    with full_disk_as_expected_error(f"saving the bundle {folder}"), new_folder(folder) as partial:
        for name in old.manifest.files:
            if name == HEADS or name.startswith(f"{ENCODER}/"):
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(old.folder / name, partial / name)
        write_parts(partial, parts)
        manifest = _describe(partial, facts, old.network, old.tokenizer, parts)
    logger.info("saved bundle %s, which is %s with other parts, in %s", manifest.version, old.manifest.version, folder)
    return manifest


def _describe(
    folder: Path,
    facts: BundleFacts,
    network: UserValueNetwork,
    tokenizer: AnyTokenizer | None,
    parts: Parts,
) -> Manifest:
    """Add to the weights in ``folder`` what is derived from them: golden users, model card, manifest."""
    events = golden_users.make_events(facts.history)
    users = golden_users.summarise(events, facts.history)
    # In float32: those are the vectors that another machine can reproduce.
    reader = build_reader(network, tokenizer, facts.text)
    inputs = golden_results.inputs(users, reader)
    vectors = golden_results.vectors(users, reader)
    scores = golden_results.scores(users, vectors, build_scorer(network.decider, facts, parts))
    golden_results.write(folder / GOLDEN, events, inputs | scores)
    (folder / CARD).write_text(model_card(facts), encoding="utf-8")
    return write_manifest(folder, facts, _versions(folder, facts, inputs))


def _write_weights(folder: Path, network: UserValueNetwork, tokenizer: "PreTrainedTokenizerBase | None") -> None:
    save_file(_weights(network.decider), folder / HEADS)
    if network.encoder is None or tokenizer is None:
        return
    save_backbone(network.encoder.backbone, folder / ENCODER)
    save_tokenizer(tokenizer, folder / ENCODER)
    save_file(_weights(network.encoder.beside_backbone()), folder / ENCODER / VECTOR)


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in module.state_dict().items()}


def _versions(folder: Path, facts: BundleFacts, inputs: golden_results.Columns) -> EncoderVersions:
    """Hashes of all that shapes a vector: weights, tokenizer, specs, precision, the renderer and what it renders."""
    if not facts.network.use_text:
        return EncoderVersions(text=None, user="no-text")
    files = checksums(folder / ENCODER)
    vector = files.pop(VECTOR)
    shapes_a_text = {
        "files": files,
        "text": facts.text.model_dump(),
        "unit": facts.network.unit,
        "pooling": facts.network.pooling,
        "precision": facts.precision,
        "renderer": text.RENDERER_VERSION,
        # For a renderer that changed though its version was not raised.
        "texts": [inputs[name] for name in golden_results.TEXT_COLUMNS if name in inputs],
    }
    text_version = digest(shapes_a_text)[:16]
    shapes_a_user = {"text": text_version, "vector": vector, "recent_events": facts.history.recent_events}
    return EncoderVersions(
        text=text_version if facts.network.unit == "event" else None,
        user=digest(shapes_a_user)[:16],
    )


def load(folder: str | Path, device: torch.device = CPU) -> Bundle:
    """Load a bundle, whose base encoder will be run on ``device``, after checking all its files.

    Raises ExpectedError naming the file that is missing, unknown, corrupted or does not fit, or the number that this
    code computes otherwise.
    """
    return load_opened(open_bundle(folder), device)


def load_opened(files: BundleFiles, device: torch.device = CPU) -> Bundle:
    """Load a bundle whose files may have been checked, in part, by other loaders of this process."""
    folder, manifest = files.all_checked(), files.manifest
    spec = manifest.network
    backbone = tokenizer = None
    if spec.use_text:
        backbone = load_to_serve(folder / ENCODER, DTYPES[manifest.precision], device)
        tokenizer = read_tokenizer(folder / ENCODER)
    network = build_network(spec, backbone, manifest.history, len(manifest.tiers.names))
    read_weights(network.decider, folder / HEADS)
    if network.encoder is not None:
        read_weights(network.encoder.beside_backbone(), folder / ENCODER / VECTOR)
    return Bundle(folder, manifest, network.eval(), tokenizer, load_parts(files))
