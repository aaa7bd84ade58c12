"""README is a front page: short, with an example that is valid and a tree that is there."""

from pathlib import Path

import yaml

from tests.unit.project.pages import PAGES, README, ROOT, blocks, links, name_of
from ulvspark.contract.config import validate
from ulvspark.contract.protocol import RollingProtocol
from ulvspark.contract.source.source import SourceConfig

MAXIMUM_LINES = 200


def test_it_is_short():
    assert len(README.read_text().splitlines()) <= MAXIMUM_LINES


def test_it_links_every_other_page():
    linked = {target.partition("#")[0] for target in links(README)}
    assert {name_of(page) for page in PAGES if page != README} <= linked


def test_the_example_mapping_has_dates_to_train_on_that_roll():
    (example,) = blocks(README, "yaml")
    source = validate(SourceConfig, yaml.safe_load(example), "README.md")
    assert isinstance(source.protocol, RollingProtocol)


def tree() -> list[Path]:
    """The folders that the README's tree names."""
    lines = next(block for block in blocks(README, "") if "contract/" in block).splitlines()
    folders, parent = [], Path()
    for line in lines:
        name = Path(line.split()[0])
        parent = parent if line.startswith(" ") else name
        folders.append(parent / name if line.startswith(" ") else name)
    return folders


def test_the_tree_names_folders_that_are_there():
    assert [folder for folder in tree() if not (ROOT / folder).is_dir()] == []


def test_the_tree_names_every_room():
    rooms = {path.parent.relative_to(ROOT) for path in (ROOT / "ulvspark").glob("*/__init__.py")}
    assert rooms <= set(tree())
