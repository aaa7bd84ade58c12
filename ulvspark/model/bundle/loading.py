"""What of a bundle runs for everyone, loaded without the base encoder, the tokenizer and the libraries behind them."""

from pathlib import Path
from types import SimpleNamespace

from safetensors.torch import load_file
from torch import nn

from ulvspark.contract.errors import ExpectedError
from ulvspark.history.features import feature_names
from ulvspark.model.bundle.manifest import BundleFacts, verify
from ulvspark.model.inference.scorer import Scorer
from ulvspark.model.network.network import Decider, build_network
from ulvspark.model.network.sequence import EventEncoder
from ulvspark.model.parts.parts import Parts, read_parts

ENCODER, HEADS = "encoder", "heads.safetensors"
VECTOR = "vector.safetensors"
"""In ``ENCODER``: what makes a user's vector of the base encoder's states."""


class MissingBackbone(nn.Module):
    """In place of a base encoder that has read all the texts there are."""

    def __init__(self, state_size: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(hidden_size=state_size)


def load_scorer(folder: Path) -> Scorer:
    """What turns vectors and numbers into scores. Raises ExpectedError as ``bundle.load`` does."""
    manifest = verify(folder)
    decider = build_network(manifest.network, None, manifest.history, len(manifest.tiers.names)).decider
    read_weights(decider, folder / HEADS)
    return scorer(decider.eval(), manifest, read_parts(folder, len(feature_names(manifest.history))))


def scorer(decider: Decider, facts: BundleFacts, parts: Parts) -> Scorer:
    """What turns vectors and numbers into scores, of what a bundle holds."""
    return Scorer(decider, facts.tiers, facts.history, parts, facts.blend or {})


def load_event_encoder(folder: Path) -> EventEncoder:
    """Of a bundle of unit ``event``: what reads users whose texts were read before. Raises as ``bundle.load`` does."""
    manifest, path = verify(folder), folder / ENCODER / VECTOR
    spec, [state_size] = manifest.network, load_file(path)["item.0.weight"].shape
    events = manifest.history.recent_events
    encoder = EventEncoder(MissingBackbone(state_size), spec.pooling, spec.vector_size, spec.sequence, events)
    read_weights(encoder.beside_backbone(), path)
    return encoder.eval()


def read_weights(module: nn.Module, path: Path) -> None:
    """Raises ExpectedError where they are not those of ``module``."""
    try:
        module.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ExpectedError(f"{path}: does not fit this code's network ({' '.join(str(error).split())})") from error
