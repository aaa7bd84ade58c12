"""Experiment trackers beside TensorBoard."""

from collections.abc import Sequence
from importlib.util import find_spec

from ulvspark.contract.errors import ExpectedError


def check_trackers(trackers: Sequence[str]) -> list[str]:
    """The trackers for Trainer to report to. Raises ExpectedError where one is asked for but not installed."""
    for tracker in trackers:
        if find_spec(tracker) is None:
            raise ExpectedError(f"trackers asks for {tracker}, which is not installed; run `pip install {tracker}`")
    return list(trackers)
