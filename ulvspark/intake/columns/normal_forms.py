"""Unicode's normal forms by replacing, since Spark has no function for them: ``e`` with an accent becomes ``é``."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Literal

from pyspark.sql import Column
from pyspark.sql import functions as F

from ulvspark.intake.columns.texts import is_ascii

Form = Literal["NFC", "NFKC"]

_CHARACTERS = (
    range(0x80, 0x4E00),
    range(0xA000, 0xAC00),
    range(0xF900, 0x10000),
    range(0x1D400, 0x1D800),
    range(0x1F100, 0x1F200),
)
"""Where characters are that a normal form changes. Between these are ideographs and Korean syllables."""


def in_normal_form(value: Column, form: Form) -> Column:
    """Text in ``form``; Korean syllables written as single letters, and marks out of order, stay."""
    changes = replacements(form)
    pairs = F.split(F.lit(" ".join(f"{old}\t{new}" for old, new in changes)), " ")

    def replaced(text: Column, pair: Column) -> Column:
        return F.replace(text, F.substring_index(pair, "\t", 1), F.substring_index(pair, "\t", -1))

    changes_nothing = is_ascii(value) | ~value.rlike(_any_of([old for old, _ in changes if len(old) == 1]))
    return F.when(changes_nothing, value).otherwise(F.reduce(pairs, value, replaced))


@cache
def replacements(form: Form) -> tuple[tuple[str, str], ...]:
    """Text -> its normal form: single characters, then pairs of a letter and a mark, the fewest marks first."""
    characters = [chr(code) for code in chain(*_CHARACTERS)]
    normal = [(each, unicodedata.normalize(form, each)) for each in characters]
    # Forms of bare marks begin with a blank, which ends an id.
    singles = [(old, new) for old, new in normal if old != new and " " not in new]
    pairs = [(unicodedata.normalize("NFD", each), each) for each in characters if _is_composed(each)]
    by_marks = sorted(pairs, key=lambda pair: len(pair[0]))
    return (*singles, *((unicodedata.normalize("NFC", old[:-1]) + old[-1], new) for old, new in by_marks))


def _is_composed(character: str) -> bool:
    """Whether its normal form of letter and marks is composed to it again."""
    marks = unicodedata.normalize("NFD", character)
    return len(marks) > 1 and unicodedata.normalize("NFC", marks) == character


def _any_of(characters: Sequence[str]) -> str:
    """A pattern for one of ``characters``, or for any mark."""
    codes = sorted(map(ord, characters))
    starts = [code for code, before in zip(codes, [-2, *codes], strict=False) if code != before + 1]
    ends = [code for code, after in zip(codes, [*codes[1:], -2], strict=True) if after != code + 1]
    return "[" + "".join(rf"\x{{{start:x}}}-\x{{{end:x}}}" for start, end in zip(starts, ends, strict=True)) + r"\p{M}]"
