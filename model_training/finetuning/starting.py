"""Start a training from the network of a bundle instead of from random weights."""

from pathlib import Path
from typing import Any

from torch import Tensor

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import HistorySpec, NetworkSpec, TextSpec
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.manifest import Manifest
from ulvspark.model.network.network import UserValueNetwork


def start_from(folder: str, network: UserValueNetwork, history: HistorySpec, text: TextSpec) -> None:
    """Give ``network`` all weights of the bundle in ``folder``, including the statistics of its numbers.

    ``history`` and ``text`` say what ``network`` will read. Raises ExpectedError where the bundle does not load, reads
    something else, or has a network of another shape.
    """
    start = bundle.load(Path(folder))
    _check_specs(folder, start.manifest, network.decider.spec, history, text)
    weights = start.network.state_dict()
    if different := _different_shapes(weights, network.state_dict()):
        raise ExpectedError(
            f"start_from {folder}: its network has another shape, first in {different[0]}; use the base and number of "
            "tiers of that bundle (see config in its manifest.json)"
        )
    network.load_state_dict(weights)


def _different_shapes(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    """The names of weights that only one of the two has, or that have different shapes, in alphabetical order."""
    one_shapes, other_shapes = ({(name, tuple(w.shape)) for name, w in weights.items()} for weights in (one, other))
    return sorted(name for name, _ in one_shapes ^ other_shapes)


def _check_specs(folder: str, manifest: Manifest, network: NetworkSpec, history: HistorySpec, text: TextSpec) -> None:
    """Even weights of equal shapes do not fit where other numbers or texts are read, or are read in another way."""
    theirs = _must_be_equal(manifest.network, manifest.history, manifest.text, network)
    ours = _must_be_equal(network, history, text, network)
    different = [f"{name} is {theirs[name]}, not {value}" for name, value in ours.items() if theirs[name] != value]
    if different:
        raise ExpectedError(
            f"start_from {folder}: its {', its '.join(different)} as in this run; give the run and its training set "
            "what that bundle has (see its manifest.json)"
        )


def _must_be_equal(network: NetworkSpec, history: HistorySpec, text: TextSpec, ours: NetworkSpec) -> dict[str, Any]:
    """By dotted name, the values that must be equal: all but dropout and what the network ``ours`` does not use."""
    ignored: dict[str, Any] = {"dropout": True, "sequence": {"dropout"} if ours.unit == "event" else True}
    if not ours.use_text:
        ignored |= dict.fromkeys(("unit", "sequence", "pooling", "vector_size"), True)
    specs = {"network": network.model_dump(exclude=ignored), "history": history.model_dump()}
    if ours.use_text:
        specs["text"] = text.model_dump()
    return {f"{spec}.{name}": value for spec, values in specs.items() for name, value in values.items()}
