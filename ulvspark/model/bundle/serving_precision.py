"""Whether a base encoder may be served in fewer bits: measured beside fp32 on real users, before a bundle is saved."""

import dataclasses
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from transformers import PreTrainedTokenizerBase

from ulvspark.contract.errors import ExpectedError, RefusedError
from ulvspark.contract.tier_bounds import likeliest_tier
from ulvspark.history.population import Population
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.bundle import BundleFacts
from ulvspark.model.bundle.loading import scorer
from ulvspark.model.bundle.manifest import Agreement
from ulvspark.model.encoder.gpu_engine import GpuPrecision
from ulvspark.model.encoder.precision import PRECISIONS, Precision
from ulvspark.model.inference.reader import Reader
from ulvspark.model.inference.scorer import Scorer
from ulvspark.model.network.network import UserValueNetwork
from ulvspark.model.parts.parts import Parts

logger = logging.getLogger(__name__)

ServingPrecision = Literal["auto"] | Precision

EQUAL_TIERS = 0.995
"""The least share of users whose tier must be that of fp32."""

BATCH_CHANGE = 1e-3
"""The most that a number in a user's vector, whose deviation is about 1, may change with whom it is read with."""

ALONE = 16
"""Users that are read alone to see that."""


@dataclass(frozen=True)
class Sample:
    """Real users of one date: n histories, n rows of numbers, and the platform they live on."""

    histories: Sequence[Any]
    numbers: pd.DataFrame
    population: Population


def measure(
    network: UserValueNetwork, tokenizer: PreTrainedTokenizerBase | None, facts: BundleFacts, sample: Sample
) -> dict[Precision, Agreement]:
    """What each precision does to ``sample``; precisions that the base encoder cannot be served in are left out.

    Empty where the network reads no text or has no tiers.
    """
    if "tier" not in facts.network.heads:
        return {}
    own, found = scorer(network.decider, facts, Parts()), {}
    exact: npt.NDArray[np.int64] | None = None
    for precision in PRECISIONS:
        try:
            reader = bundle.reader(network, tokenizer, facts.text, precision)
        except ExpectedError as error:
            logger.info("not served in %s: %s", precision, error)
            continue
        if reader is None:
            return {}
        vectors, seconds = _read(reader, sample.histories)
        tiers = _tiers(own, vectors, sample)
        exact = tiers if exact is None else exact
        found[precision] = Agreement(
            users=len(sample.histories),
            equal_tiers=float((tiers == exact).mean()),
            batch_change=_batch_change(reader, sample.histories, vectors),
            users_per_second=len(sample.histories) / seconds,
        )
    return found


def _read(reader: Reader, histories: Sequence[Any]) -> tuple[npt.NDArray[np.float32], float]:
    started = time.process_time()
    vectors = reader.encode(histories)
    return vectors, max(time.process_time() - started, 1e-9)


def _tiers(own: Scorer, vectors: npt.NDArray[np.float32], sample: Sample) -> npt.NDArray[np.int64]:
    return likeliest_tier(own.decide(vectors, sample.numbers, sample.population)["tier_probabilities"])


def _batch_change(reader: Reader, histories: Sequence[Any], vectors: npt.NDArray[np.float32]) -> float:
    rows = np.linspace(0, len(histories) - 1, min(ALONE, len(histories))).astype(int)
    # A copy of a reader has not read anything yet.
    alone = [dataclasses.replace(reader).encode([histories[row]])[0] for row in rows]
    return float(np.abs(np.stack(alone) - vectors[rows]).max())


def choose(wanted: ServingPrecision, found: dict[Precision, Agreement]) -> Precision:
    """The precision to serve in: ``wanted``, or of ``auto`` the fastest that agrees with fp32.

    Raises RefusedError where ``wanted`` was not found to agree.
    """
    if wanted == "fp32" or (wanted == "auto" and not found):
        return "fp32"
    if wanted == "auto":
        passing = {name: each for name, each in found.items() if _agrees(each)}
        return max(passing, key=lambda name: passing[name].users_per_second, default="fp32")
    if wanted not in found or not _agrees(found[wanted]):
        raise RefusedError(f"serving_precision {wanted} is refused: {describe(wanted, found)}; use auto or fp32")
    return wanted


def _agrees(found: Agreement) -> bool:
    return found.equal_tiers >= EQUAL_TIERS and found.batch_change <= BATCH_CHANGE


def on_gpu(facts: BundleFacts) -> GpuPrecision:
    """What a bundle is read in on a GPU: 16 bits where it is served in no more than that and they agree with fp32."""
    found = (facts.agreement or {}).get("bf16")
    agrees = facts.precision == "bf16" or (found is not None and _agrees(found))
    return "bf16" if facts.precision != "fp32" and agrees else "fp32"


def describe(precision: Precision, found: dict[Precision, Agreement]) -> str:
    """The figures of one precision, and what they are held to."""
    if precision not in found:
        return "it cannot be measured for this network"
    each = found[precision]
    return (
        f"of {each.users:,} users {each.equal_tiers:.2%} have the tier of fp32 (at least {EQUAL_TIERS:.1%}), and a "
        f"vector changes by {each.batch_change:.1g} with whom it is read with (at most {BATCH_CHANGE:.1g}); "
        f"{each.users_per_second:.3g} users/s"
    )
