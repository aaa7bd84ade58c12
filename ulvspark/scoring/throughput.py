"""How fast BERT reads, added up over the tasks of a stage."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from pyspark import Accumulator, SparkContext

from ulvspark.model.encoder import bare
from ulvspark.scoring import workers


@dataclass(frozen=True)
class Throughput:
    """Sums that tasks add to; a task that Spark runs again counts again."""

    tokens: "Accumulator[int]"
    seconds: "Accumulator[float]"
    """Of tasks, from texts to states: rendering, tokenizing, BERT."""
    bare_seconds: "Accumulator[float]"
    """What the tokens would have taken if only matrices had to be multiplied."""

    @classmethod
    def start(cls, context: SparkContext) -> Self:
        return cls(context.accumulator(0), context.accumulator(0.0), context.accumulator(0.0))

    @contextmanager
    def measured(self, bundle: str) -> Iterator[None]:
        """Around what a task reads with ``bundle``. Only inside a task."""
        reader = workers.predictor(bundle).reader
        assert reader is not None  # noqa: S101 - of a bundle without text nothing is read
        tokens, started = reader.engine.tokens, time.perf_counter()
        yield
        seconds, read = time.perf_counter() - started, reader.engine.tokens - tokens
        # A sequence of texts that were read before has no tokens.
        if read:
            self.seconds.add(seconds)
            self.tokens.add(read)
            self.bare_seconds.add(read / _bare_rate(bundle))

    def metrics(self) -> dict[str, float]:
        """Tokens a second of a task, and the share of the bare speed; empty where nothing was read."""
        if not self.tokens.value:
            return {}
        seconds = self.seconds.value
        return {
            "tokens_per_second_and_task": self.tokens.value / seconds,
            "share_of_bare_matrix_speed": self.bare_seconds.value / seconds,
        }


@lru_cache(maxsize=1)
def _bare_rate(bundle: str) -> float:
    """Measured once a worker, in a tenth of a second or so of a small BERT."""
    reader = workers.predictor(bundle).reader
    assert reader is not None  # noqa: S101
    precision = reader.engine.precision
    return bare.rates(reader.engine.backbone, 1, [precision])[precision]
