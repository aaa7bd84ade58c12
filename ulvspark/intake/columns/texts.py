"""Text as sources write it: what surrounds a value, what stands for no value, and what was read in a wrong encoding."""

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

_INVISIBLE = r"[\p{IsWhite_Space}\p{Cc}\p{Cf}]"
"""White space, control and format characters of Unicode: tabs, no-break and zero-width spaces, byte order marks ..."""
_ENDS = rf"^{_INVISIBLE}+|{_INVISIBLE}+\z"
_FIRST_VISIBLE, _LAST_VISIBLE = 0x21, 0x7E

REPLACEMENT = "\ufffd"
"""What Spark reads in place of bytes that are no text in the encoding it was told."""


def trimmed(value: Column) -> Column:
    """Text without invisible characters at both ends; null where nothing else is there."""
    ends = [F.ascii(end).between(_FIRST_VISIBLE, _LAST_VISIBLE) for end in (value, F.substring(value, -1, 1))]
    # Nearly all values begin and end with a letter or digit of ASCII, which is seen at a tenth of a pattern's cost.
    return F.when(ends[0] & ends[1], value).otherwise(F.nullif(F.regexp_replace(value, _ENDS, ""), F.lit("")))


def is_missing_word(value: Column, words: Sequence[str]) -> Column:
    """Whether trimmed text is one of ``words``, in upper and lower case alike."""
    return F.lower(value).isin(sorted({word.lower() for word in words})) if words else F.lit(False)


def is_damaged(value: Column) -> Column:
    """Whether text holds characters that were lost to a wrong encoding."""
    return F.contains(value, F.lit(REPLACEMENT))


def is_ascii(value: Column) -> Column:
    """Whether text holds ASCII alone."""
    return F.octet_length(value) == F.char_length(value)
