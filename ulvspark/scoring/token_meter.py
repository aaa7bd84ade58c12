"""How much BERT reads in a step, and how fast: tokens are added up over all tasks."""

import time
from dataclasses import dataclass
from typing import Self

from pyspark import Accumulator, SparkContext


@dataclass(frozen=True)
class TokenMeter:
    """Tokens read since the meter was started. A task that Spark runs again counts again."""

    tokens: "Accumulator[int]"
    started: float

    @classmethod
    def start(cls, context: SparkContext) -> Self:
        """A meter at zero, whose clock starts now."""
        return cls(context.accumulator(0), time.perf_counter())

    def rates(self, **numbers: int) -> dict[str, float]:
        """What was read a second since the start: of each of ``numbers``, and tokens. Leaves out what was not read."""
        seconds = time.perf_counter() - self.started
        numbers["tokens"] = self.tokens.value
        return {f"{name}_per_second": number / seconds for name, number in numbers.items() if number}
