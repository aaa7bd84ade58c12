"""Scores users with a bundle, in training, evaluation and on Spark alike: histories to vectors, vectors to scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from ulvspark.history.population import Population
from ulvspark.history.text import Rendered, render
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.bundle import Bundle, Manifest
from ulvspark.model.bundle.golden_results import GOLDEN
from ulvspark.model.bundle.loading import build_scorer
from ulvspark.model.bundle.self_test import self_test
from ulvspark.model.bundle.serving_precision import gpu_precision
from ulvspark.model.inference.reader import CPU, build_reader
from ulvspark.model.parts.predictions import Decisions

__all__ = ["Decisions", "Predictor"]


class Predictor:
    """A loaded bundle, ready to score."""

    def __init__(self, loaded: Bundle, device: torch.device = CPU) -> None:
        """The base encoder computes on ``device``, for which it was loaded, all else on the CPU."""
        self.manifest: Manifest = loaded.manifest
        self._folder = loaded.folder
        precision = self.manifest.precision if device.type == "cpu" else gpu_precision(self.manifest)
        self.reader = build_reader(loaded.network, loaded.tokenizer, self.manifest.text, precision, device)
        self.scorer = build_scorer(loaded.network.decider, self.manifest, loaded.parts)

    @classmethod
    def load(cls, folder: str | Path, threads: int | None = None, device: torch.device = CPU) -> Self:
        """Load the bundle in ``folder``, to compute with ``threads`` threads in this process (None: torch's choice).

        Raises ExpectedError as ``bundle.load`` does.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        return cls(bundle.load(folder, device), device)

    def render(self, histories: Sequence[Mapping[str, Any]]) -> list[Rendered]:
        """The text of each history, whether or not the network reads it."""
        return [render(history, self.manifest.text) for history in histories]

    def encode(self, histories: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float32]:
        """(n, vector_size), or (n, 0) where the network reads no text."""
        if self.reader is None:
            return np.empty((len(histories), 0), np.float32)
        return self.reader.encode(histories)

    def decide(self, vectors: npt.NDArray[np.float32], numbers: pd.DataFrame, population: Population) -> Decisions:
        """Scores of n users from the vectors of ``encode`` and the numbers ``manifest.numbers``.

        ``population`` is the platform on the same date; amounts are in its currency.
        """
        return self.scorer.decide(vectors, numbers, population)

    def self_test(self) -> None:
        """Score the bundle's golden users again. Raises ExpectedError as ``bundle.self_test.self_test`` does."""
        self_test(self._folder / GOLDEN, self.manifest, self.reader, self.scorer)
