"""Loads what runs for every user each night, without the base encoder, the tokenizer and the libraries they need."""

from pathlib import Path
from types import SimpleNamespace

from safetensors.torch import load_file
from torch import nn

from ulvspark.contract.errors import ExpectedError
from ulvspark.history.features import feature_names
from ulvspark.model.bundle.files import BundleFiles
from ulvspark.model.bundle.manifest import BundleFacts
from ulvspark.model.inference.scorer import Scorer
from ulvspark.model.network.network import Decider, build_network
from ulvspark.model.network.sequence import EventEncoder
from ulvspark.model.parts.parts import CALIBRATION, LINEAR, TREES, Parts, read_parts

ENCODER, HEADS = "encoder", "heads.safetensors"
VECTOR = "vector.safetensors"
"""In ``ENCODER``: the layers that turn states of the base encoder into a user's vector."""


class MissingBackbone(nn.Module):
    """Stands where the base encoder would be, for an ``EventEncoder`` that is given the states of all texts."""

    def __init__(self, state_size: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(hidden_size=state_size)


def load_scorer(files: BundleFiles) -> Scorer:
    """What turns vectors and numbers into scores. Raises ExpectedError as ``bundle.load`` does."""
    manifest = files.manifest
    decider = build_network(manifest.network, None, manifest.history, len(manifest.tiers.names)).decider
    read_weights(decider, files.checked(HEADS) / HEADS)
    return build_scorer(decider.eval(), manifest, load_parts(files))


def load_parts(files: BundleFiles) -> Parts:
    """Trees, linear model and calibration, as far as the bundle holds them."""
    return read_parts(files.checked(TREES, LINEAR, CALIBRATION), len(feature_names(files.manifest.history)))


def build_scorer(decider: Decider, facts: BundleFacts, parts: Parts) -> Scorer:
    """The scorer of a bundle that is loaded or about to be saved."""
    return Scorer(decider, facts.tiers, facts.history, parts, facts.blend or {})


def load_event_encoder(files: BundleFiles) -> EventEncoder:
    """What encodes users from the states of their texts (unit ``event``). Raises as ``bundle.load`` does."""
    manifest, path = files.manifest, files.checked(f"{ENCODER}/{VECTOR}") / ENCODER / VECTOR
    spec, [state_size] = manifest.network, load_file(path)["item.0.weight"].shape
    events = manifest.history.recent_events
    encoder = EventEncoder(MissingBackbone(state_size), spec.pooling, spec.vector_size, spec.sequence, events)
    read_weights(encoder.beside_backbone(), path)
    return encoder.eval()


def read_weights(module: nn.Module, path: Path) -> None:
    """Load the weights of ``module``. Raises ExpectedError where the file holds those of another architecture."""
    try:
        module.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ExpectedError(f"{path}: does not fit this code's network ({' '.join(str(error).split())})") from error
