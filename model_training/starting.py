"""Going on from a bundle: its network's weights and statistics instead of new ones."""

from pathlib import Path

from ulvspark.contract.errors import ExpectedError
from ulvspark.model import bundle
from ulvspark.model.network import UserValueNetwork


def start_from(folder: str, network: UserValueNetwork) -> None:
    """Give ``network`` all weights of the bundle in ``folder``, the statistics of its numbers among them.

    Raises ExpectedError where the bundle does not load or its network is built otherwise.
    """
    theirs, ours = bundle.load(Path(folder)).network.state_dict(), network.state_dict()
    shapes = ({name: tuple(each.shape) for name, each in of.items()} for of in (theirs, ours))
    other = sorted(name for name, _ in set.symmetric_difference(*(set(each.items()) for each in shapes)))
    if other:
        raise ExpectedError(
            f"start_from {folder}: its network is built otherwise, {other[0]} first; give it the base, network and "
            "number of tiers of that bundle (see config in its manifest.json)"
        )
    network.load_state_dict(theirs)
