"""Measures on real users, before a bundle is saved, whether the base encoder may be served in fewer bits than fp32."""

import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ulvspark.contract.errors import ExpectedError, RefusedError
from ulvspark.contract.tier_bounds import likeliest_tier
from ulvspark.model.bundle.loading import build_scorer
from ulvspark.model.bundle.manifest import BundleFacts, PrecisionEvidence
from ulvspark.model.encoder.gpu_engine import GpuPrecision
from ulvspark.model.encoder.precision import PRECISIONS, Precision
from ulvspark.model.encoder.tokenizing import AnyTokenizer
from ulvspark.model.inference.reader import Reader, build_reader
from ulvspark.model.inference.scorer import Scorer
from ulvspark.model.inference.users import Users
from ulvspark.model.network.network import UserValueNetwork
from ulvspark.model.parts.parts import Parts

logger = logging.getLogger(__name__)

ServingPrecision = Literal["auto"] | Precision

MIN_EQUAL_TIERS = 0.995
"""Least share of users whose tier must be the same as in fp32."""

MAX_BATCH_CHANGE = 1e-3
"""Largest change that a number in a user's vector, whose deviation is about 1, may show when its batch changes."""

ENCODED_ALONE = 16
"""Users who are encoded in a batch of their own to measure that."""

Evidence = dict[Precision, PrecisionEvidence]


def measure(network: UserValueNetwork, tokenizer: AnyTokenizer | None, facts: BundleFacts, sample: Users) -> Evidence:
    """What each precision does to ``sample``, without precisions that the base encoder cannot be served in.

    Empty where the network reads no text or has no tiers.
    """
    if "tier" not in facts.network.heads:
        return {}
    scorer, evidence = build_scorer(network.decider, facts, Parts()), Evidence()
    exact: npt.NDArray[np.int64] | None = None
    for precision in PRECISIONS:
        try:
            reader = build_reader(network, tokenizer, facts.text, precision)
        except ExpectedError as error:
            logger.info("not served in %s: %s", precision, error)
            continue
        if reader is None:
            return {}
        vectors, seconds = _timed_encode(reader, sample.histories)
        tiers = _likeliest_tiers(scorer, vectors, sample)
        # fp32 comes first.
        exact = tiers if exact is None else exact
        evidence[precision] = PrecisionEvidence(
            users=len(sample.histories),
            equal_tiers=float((tiers == exact).mean()),
            batch_change=_batch_change(reader, sample.histories, vectors),
            users_per_second=len(sample.histories) / seconds,
        )
    return evidence


def _timed_encode(reader: Reader, histories: Sequence[Any]) -> tuple[npt.NDArray[np.float32], float]:
    started = time.process_time()
    vectors = reader.encode(histories)
    return vectors, max(time.process_time() - started, 1e-9)


def _likeliest_tiers(scorer: Scorer, vectors: npt.NDArray[np.float32], sample: Users) -> npt.NDArray[np.int64]:
    return likeliest_tier(scorer.decide(vectors, sample.numbers, sample.population)["tier_probabilities"])


def _batch_change(reader: Reader, histories: Sequence[Any], vectors: npt.NDArray[np.float32]) -> float:
    rows = np.linspace(0, len(histories) - 1, min(ENCODED_ALONE, len(histories))).astype(int)
    # By a copy of the reader, which does not remember the texts that the original has encoded.
    alone = [dataclasses.replace(reader).encode([histories[row]])[0] for row in rows]
    return float(np.abs(np.stack(alone) - vectors[rows]).max())


def choose(wanted: ServingPrecision, evidence: Evidence) -> Precision:
    """The precision to serve in: ``wanted``, or for ``auto`` the fastest that agrees with fp32.

    Raises RefusedError where ``wanted`` does not agree with fp32 or was not measured.
    """
    if wanted == "fp32" or (wanted == "auto" and not evidence):
        return "fp32"
    if wanted == "auto":
        passing = {name: measured for name, measured in evidence.items() if _agrees(measured)}
        return max(passing, key=lambda name: passing[name].users_per_second, default="fp32")
    if wanted not in evidence or not _agrees(evidence[wanted]):
        raise RefusedError(f"serving_precision {wanted} is refused: {describe(wanted, evidence)}; use auto or fp32")
    return wanted


def _agrees(measured: PrecisionEvidence) -> bool:
    return measured.equal_tiers >= MIN_EQUAL_TIERS and measured.batch_change <= MAX_BATCH_CHANGE


def gpu_precision(facts: BundleFacts) -> GpuPrecision:
    """The precision on a GPU: 16 bits for a bundle served in 16 bits or fewer, where 16 bits agree with fp32."""
    measured = (facts.precision_evidence or {}).get("bf16")
    agrees = facts.precision == "bf16" or (measured is not None and _agrees(measured))
    return "bf16" if facts.precision != "fp32" and agrees else "fp32"


def describe(precision: Precision, evidence: Evidence) -> str:
    """The figures of one precision beside their limits."""
    if precision not in evidence:
        return "it cannot be measured for this network"
    measured = evidence[precision]
    return (
        f"of {measured.users:,} users {measured.equal_tiers:.2%} have the same tier as in fp32 (at least "
        f"{MIN_EQUAL_TIERS:.1%}), and a vector changes by up to {measured.batch_change:.1g} when its batch changes "
        f"(at most {MAX_BATCH_CHANGE:.1g}); {measured.users_per_second:.3g} users/s"
    )
