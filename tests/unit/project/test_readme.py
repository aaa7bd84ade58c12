"""The README's commands and examples are ones that the project has."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from ulvspark.contract.config import validate
from ulvspark.contract.source import SourceConfig

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language; "" finds those without one."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
    return [text for named, text in fenced if named == language]


def commands() -> list[list[str]]:
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {words[1] for words in commands() if words[0] == "make"} | set(re.findall(r"`make (\w+)`", README))
    assert named
    assert named <= targets


def program_of(words: list[str]) -> tuple[str, list[str]] | None:
    """The module that a command runs, and its arguments."""
    if words[:2] == ["python", "-m"]:
        return words[2], words[3:]
    scripts = [n for n, word in enumerate(words) if word.startswith("jobs/")]
    if words[0] in {"python", "spark-submit"} and scripts:
        return words[scripts[0]].removesuffix(".py").replace("/", "."), words[scripts[0] + 1 :]
    return None


PROGRAMS = [found for words in commands() if (found := program_of(words)) is not None]


@pytest.mark.parametrize(("module", "arguments"), PROGRAMS, ids=[module for module, _ in PROGRAMS])
def test_programs_take_the_arguments_shown(module, arguments):
    parser = importlib.import_module(module).parser()
    parser.parse_args(arguments)


def test_the_example_mapping_is_valid():
    (example,) = blocks("yaml")
    source = validate(SourceConfig, yaml.safe_load(example), "README.md")
    assert source.protocol.origins_closed_by(source.protocol.validation_cut)


def test_the_tree_names_what_is_there():
    tree = next(block for block in blocks("") if "contract/" in block)
    room = Path()
    for line in tree.splitlines():
        name = line.split()[0]
        room = Path(name) if not line.startswith(" ") else room
        place = ROOT / room / name if line.startswith(" ") else ROOT / name
        assert place.is_dir(), line
