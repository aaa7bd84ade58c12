"""Takes a bundle's golden users through the code that scores, and compares what comes out with what was saved."""

from pathlib import Path
from typing import Any

import numpy as np

from ulvspark.contract.errors import ExpectedError
from ulvspark.model.bundle import golden_results
from ulvspark.model.bundle.golden_results import GOLDEN_SCORES, NUMBERS, Columns
from ulvspark.model.bundle.golden_users import summarise
from ulvspark.model.bundle.manifest import BundleFacts
from ulvspark.model.inference.reader import Reader, Vectors, in_float32
from ulvspark.model.inference.scorer import Scorer

SCORE_TOLERANCE = 1e-4
"""Absolute and relative, for every score of vectors in float32: well above what another CPU changes."""

NUMBER_TOLERANCE = 1e-9
"""Relative: numbers are sums of whole numbers, so that other versions of numpy change a last digit at most."""

LARGEST_ROUNDING = 0.1
"""How far vectors in fewer bits may be from those in float32, as a share of the latter's length.

MiniLM's are .006 away in bfloat16 and .02 in int8; where products of int8 overflow, 0.5 and more. Another CPU rounds
differently, which moves a vector by as much as it is away from float32, so scores in fewer bits cannot be compared.
"""


def self_test(path: Path, facts: BundleFacts, reader: Reader | None, scorer: Scorer) -> None:
    """Compute numbers, recent events, texts, token ids and scores of the golden users in the file ``path`` again.

    Raises ExpectedError saying which user differs in what: texts and ids at all, numbers by more than
    ``NUMBER_TOLERANCE``, scores by more than ``SCORE_TOLERANCE``; and where vectors in the precision that is served are
    further from float32 than ``LARGEST_ROUNDING``.
    """
    events, expected = golden_results.read(path)
    users = summarise(events, facts.history)
    # Before anything is encoded: a wrong token id may be more than the base encoder has.
    _compare(_without_scores(expected), golden_results.inputs(users, reader), facts)
    exact_reader = in_float32(reader)
    exact = golden_results.vectors(users, exact_reader)
    _compare(_scores(expected), golden_results.scores(users, exact, scorer), facts)
    if reader is not exact_reader:
        _check_rounding(golden_results.vectors(users, reader), exact, facts)


def _without_scores(columns: Columns) -> Columns:
    return {name: values for name, values in columns.items() if name not in GOLDEN_SCORES}


def _scores(columns: Columns) -> Columns:
    return {name: values for name, values in columns.items() if name in GOLDEN_SCORES}


def _check_rounding(served: Vectors, exact: Vectors, facts: BundleFacts) -> None:
    distance = float(np.sqrt(np.square(served - exact).mean() / np.square(exact).mean()))
    if not distance <= LARGEST_ROUNDING:
        raise ExpectedError(
            f"self-test: vectors in {facts.precision} are {distance:.2g} of their length away from those in float32, "
            f"more than {LARGEST_ROUNDING}: this machine or its version of torch does not compute in "
            f"{facts.precision} as it should; serve the model in fp32"
        )


def _compare(expected: Columns, computed: Columns, facts: BundleFacts) -> None:
    advice = f"score with the code that made the bundle ({facts.code_version}) or train a new bundle with this code"
    if computed.keys() != expected.keys():
        raise ExpectedError(f"self-test: the bundle expects {sorted(expected)}, got {sorted(computed)}; {advice}")
    for column, values in expected.items():
        for user, pair in enumerate(zip(values, computed[column], strict=True)):
            for name, want, have in _values(column, *pair):
                if not _same(column, want, have):
                    raise ExpectedError(
                        f"self-test: golden user {user} has another {name}: expected {_short(want)}, "
                        f"got {_short(have)}; {advice}"
                    )


def _values(column: str, want: Any, have: Any) -> list[tuple[str, Any, Any]]:  # noqa: ANN401 - of any column
    """What is compared of a user in a column, each with its name: the numbers one by one, all else as it is."""
    if column != NUMBERS:
        return [(column, want, have)]
    return [(name, want.get(name), have.get(name)) for name in dict.fromkeys([*want, *have])]


def _same(column: str, want: Any, have: Any) -> bool:  # noqa: ANN401 - of any column
    if column in GOLDEN_SCORES:
        return bool(np.allclose(np.asarray(want), np.asarray(have), rtol=SCORE_TOLERANCE, atol=SCORE_TOLERANCE))
    if column == NUMBERS and want is not None and have is not None:
        return bool(np.isclose(want, have, rtol=NUMBER_TOLERANCE, atol=0))
    return bool(want == have)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
