"""Strict, frozen configuration: YAML in, validated models out, every mistake named at once."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from ulvspark.contract.errors import ExpectedError


class Strict(BaseModel):
    """Base of all configuration: unknown keys are errors, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


C = TypeVar("C", bound=Strict)


def load_config(model: type[C], path: str | Path, overrides: Sequence[str] = ()) -> C:
    """Read ``path`` as ``model``, with ``a.b=value`` overrides applied on top (values are YAML).

    A file with ``extends: other.yaml`` (relative to itself) holds only what differs from that file.
    Raises ExpectedError naming the file and, for each mistake, its dotted path; and where files extend one another in a
    circle.
    """
    content = _read_extended(Path(path))
    for override in overrides:
        _apply_override(content, override)
    return validate(model, content, str(path))


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
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that no calendar has
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


def parse_date(text: str) -> date:
    """An ISO date from the command line. Raises ExpectedError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ExpectedError(f"{text!r} is not a date; write it as YYYY-MM-DD") from None
