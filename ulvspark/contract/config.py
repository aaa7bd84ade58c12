"""Strict, frozen configuration: YAML in, validated models out, every mistake named at once."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ulvspark.contract.errors import ExpectedError

LARGEST_NUMBER, DEEPEST, MOST_VALUES = 10**15, 50, 100_000
"""Bounds of any configuration: beyond them numbers overflow in numpy and Spark, and nesting in Python."""

NO_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError)
"""What yaml raises for a text that is not valid: the last three for a tag whose value does not fit it."""


class Strict(BaseModel):
    """Base of all configuration: unknown keys are errors, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


C = TypeVar("C", bound=Strict)

Seed = Annotated[int, Field(ge=0, lt=2**31)]
"""A seed that every generator of random numbers takes."""


def load_config(model: type[C], path: str | Path, overrides: Sequence[str] = ()) -> C:
    """Read ``path`` as ``model``, with ``a.b=value`` overrides applied on top (values are YAML).

    A file with ``extends: other.yaml`` (relative to itself) holds only what differs from that file.
    Raises ExpectedError naming the file and, for each mistake, its dotted path; and where files extend one another in a
    circle.
    """
    content = _read_extended(Path(path))
    for override in overrides:
        _apply_override(content, override)
    _check_bounds(content, str(path))
    loaded = validate(model, content, str(path))
    # Once more, since a text such as "1e30" has become a number only now.
    _check_bounds(loaded.model_dump(), str(path))
    return loaded


def validate(model: type[C], content: object, where: str) -> C:
    """Check ``content`` against ``model``; ``where`` is named in the ExpectedError of a mistake."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        mistakes = "; ".join(_mistake(each) for each in error.errors())
        raise ExpectedError(f"{where}: {mistakes}") from None


def _mistake(error: ErrorDetails) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "(top level)"
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}"


def _check_bounds(content: object, where: str) -> None:
    values = 0
    for place, value in islice(_values(content, ()), MOST_VALUES + 1):
        values += 1
        if len(place) > DEEPEST:
            raise ExpectedError(f"{where}: {'.'.join(place[:3])}...: nested more than {DEEPEST} deep; take levels out")
        if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:  # NaN is not
            finite = isinstance(value, int) or math.isfinite(value)
            kind = "a number beyond 10^15" if finite else f"{value}, which is no finite number"
            raise ExpectedError(f"{where}: {'.'.join(place)}: {kind}; correct it")
    if values > MOST_VALUES:
        raise ExpectedError(f"{where}: more than {MOST_VALUES:,} values; give a configuration")


def _values(content: object, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value within ``content``, with the keys that lead to it."""
    yield place, content
    if len(place) <= DEEPEST:
        items = enumerate(content) if isinstance(content, list | tuple) else ()
        for key, value in content.items() if isinstance(content, dict) else items:
            yield from _values(value, (*place, str(key)))


def _read_extended(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """``path`` on top of what it extends; ``above`` are the files that extend it."""
    if path.resolve() in above:
        circle = " extends ".join(each.name for each in (*above[above.index(path.resolve()) :], path))
        raise ExpectedError(f"{path}: {circle}, which never ends; take one `extends` out")
    content = _read_yaml(path)
    parent = content.pop("extends", None)
    if parent is None:
        return content
    return _merged(_read_extended(path.parent / str(parent), (*above, path.resolve())), content)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if nested else value
    return merged


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ExpectedError(f"{path}: no such file; give the path of a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ExpectedError(f"{path}: cannot be read as text ({error}); give the path of a YAML file") from None
    content = _parse(text, str(path))
    if not isinstance(content, dict):
        raise ExpectedError(f"{path}: expected keys and values at the top level")
    return content


def _parse(text: str, where: str) -> Any:  # noqa: ANN401 - YAML holds anything
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ExpectedError(f"{where}: nested more than {DEEPEST} deep; take levels out") from None
    except NO_YAML as error:
        raise ExpectedError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None


def _apply_override(content: dict[str, Any], override: str) -> None:
    dotted, equals, value = override.partition("=")
    if not equals:
        raise ExpectedError(f"override {override!r}: write it as a.b=value")
    *parents, last = dotted.split(".")
    for parent in parents:
        nested = content.setdefault(parent, {})
        if not isinstance(nested, dict):
            raise ExpectedError(f"override {override!r}: {parent} holds no keys")
        content = nested
    content[last] = _parse(value, f"override {override!r}")
