"""Going on from a bundle: its network's weights and statistics instead of new ones."""

from pathlib import Path
from typing import Any

from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import HistorySpec, NetworkSpec, TextSpec
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.manifest import Manifest
from ulvspark.model.network.network import UserValueNetwork


def start_from(folder: str, network: UserValueNetwork, history: HistorySpec, text: TextSpec) -> None:
    """Give ``network`` all weights of the bundle in ``folder``, the statistics of its numbers among them.

    ``history`` and ``text`` say what ``network`` will read. Raises ExpectedError where the bundle does not load, reads
    otherwise, or its network is built otherwise.
    """
    found = bundle.load(Path(folder))
    _check_specs(folder, found.manifest, network.decider.spec, history, text)
    theirs, ours = found.network.state_dict(), network.state_dict()
    shapes = ({name: tuple(each.shape) for name, each in of.items()} for of in (theirs, ours))
    other = sorted(name for name, _ in set.symmetric_difference(*(set(each.items()) for each in shapes)))
    if other:
        raise ExpectedError(
            f"start_from {folder}: its network is built otherwise, {other[0]} first; give it the base and number of "
            "tiers of that bundle (see config in its manifest.json)"
        )
    network.load_state_dict(theirs)


def _check_specs(folder: str, manifest: Manifest, network: NetworkSpec, history: HistorySpec, text: TextSpec) -> None:
    """Weights of the same shapes mean something else where other numbers or texts are read, or read in another way."""
    theirs = _values(manifest.network, manifest.history, manifest.text, network)
    ours = _values(network, history, text, network)
    other = [f"{name} is {theirs[name]}, not {value}" for name, value in ours.items() if theirs[name] != value]
    if other:
        raise ExpectedError(
            f"start_from {folder}: its {', its '.join(other)} as in this run; give the run and its training set what "
            "that bundle has (see its manifest.json)"
        )


def _values(network: NetworkSpec, history: HistorySpec, text: TextSpec, used: NetworkSpec) -> dict[str, Any]:
    """By dotted name, what must be the same; not dropout, nor what a network as ``used`` makes no use of."""
    without: dict[str, Any] = {"dropout": True, "sequence": {"dropout"} if used.unit == "event" else True}
    if not used.use_text:
        without |= dict.fromkeys(("unit", "sequence", "pooling", "vector_size"), True)
    parts = {"network": network.model_dump(exclude=without), "history": history.model_dump()}
    if used.use_text:
        parts["text"] = text.model_dump()
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
