"""A bundle at work: histories to vectors, vectors and numbers to scores; the one way to score, on any side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from ulvspark.history.population import Population
from ulvspark.history.text import Rendered, render
from ulvspark.model.bundle import bundle, golden_users, serving_precision
from ulvspark.model.bundle.bundle import Bundle, Manifest
from ulvspark.model.bundle.loading import scorer
from ulvspark.model.parts.predictions import Decisions

__all__ = ["Decisions", "Predictor"]


class Predictor:
    """Scores users with a bundle."""

    def __init__(self, loaded: Bundle, folder: Path, device: torch.device = bundle.CPU) -> None:
        self.manifest: Manifest = loaded.manifest
        self._folder = folder
        manifest = loaded.manifest
        precision = manifest.precision if device.type == "cpu" else serving_precision.on_gpu(manifest)
        self.reader = bundle.reader(loaded.network, loaded.tokenizer, manifest.text, precision, device)
        self.scorer = scorer(loaded.network.decider, loaded.manifest, loaded.parts)

    @classmethod
    def load(cls, folder: str | Path, threads: int | None = None, device: torch.device = bundle.CPU) -> Self:
        """Read the bundle in ``folder``, to compute with ``threads`` threads in this process (None: torch's choice).

        The base encoder computes on ``device``, all else on the CPU.

        Raises ExpectedError naming the file where the bundle is incomplete or corrupted.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        return cls(bundle.load(folder), Path(folder), device)

    def render(self, histories: Sequence[Mapping[str, Any]]) -> list[Rendered]:
        """The text of each history, whether or not the network reads it."""
        return [render(history, self.manifest.text) for history in histories]

    def encode(self, histories: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float32]:
        """(n, vector_size), or (n, 0) where the network reads no text."""
        if self.reader is None:
            return np.empty((len(histories), 0), np.float32)
        return self.reader.encode(histories)

    def decide(self, vectors: npt.NDArray[np.float32], numbers: pd.DataFrame, population: Population) -> Decisions:
        """Scores of n users from ``encode``'s vectors and the behaviour columns ``manifest.history.numbers``.

        Amounts are in the currency of ``population``, which is the platform on the same date.
        """
        return self.scorer.decide(vectors, numbers, population)

    def self_test(self) -> None:
        """Score the bundle's golden users again.

        Raises ExpectedError where a text or token id differs at all, a score by more than ``golden_users.TOLERANCE``,
        or the served precision by more than ``golden_users.ROUNDED``.
        """
        golden_users.check(self._folder / golden_users.GOLDEN, self.manifest, self.reader, self.scorer)
