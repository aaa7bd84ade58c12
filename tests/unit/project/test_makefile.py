"""The programs that the Makefile's demo targets run take the arguments given there."""

import importlib
import itertools
import re
import shlex
from pathlib import Path

import pytest

LINES = (Path(__file__).parents[3] / "Makefile").read_text().splitlines()
SHORT_FORMS = dict(re.findall(r"^(\w+) :?= ?(.*)$", "\n".join(LINES), re.M)) | {"DEMO_DATA": "folder"}
"""The Makefile's variables; the one that the shell computes is replaced."""


def recipe(target: str) -> list[str]:
    """The commands of a target, with the Makefile's variables filled in."""
    start = next(number for number, line in enumerate(LINES) if line.startswith(f"{target}:"))
    commands = itertools.takewhile(lambda line: line.startswith("\t"), LINES[start + 1 :])
    return [re.sub(r"\$\((\w+)\)", lambda name: SHORT_FORMS[name[1]], command.strip()) for command in commands]


def program_of(command: str) -> tuple[str, list[str]]:
    """The module that a command runs, and its arguments."""
    _, first, *rest = shlex.split(command)
    return (rest[0], rest[1:]) if first == "-m" else (first.removesuffix(".py").replace("/", "."), rest)


PROGRAMS = [program_of(command) for target in ("demo", "demo-full") for command in recipe(target)]


@pytest.mark.parametrize(("module", "arguments"), PROGRAMS, ids=[module for module, _ in PROGRAMS])
def test_programs_take_the_arguments_given(module, arguments):
    importlib.import_module(module).parser().parse_args(arguments)


def test_the_full_demo_goes_on_from_the_demo_and_ends_with_the_report():
    assert next(line for line in LINES if line.startswith("demo-full:")).split()[1] == "demo"
    assert "model_training.evaluate" in recipe("demo-full")[-1]
    assert any("model_training.blend" in command for command in recipe("demo-full"))
    assert "--picture" in recipe("demo")[-1]
