"""The commands, examples, links and paths of every page are ones that the project has."""

import importlib.util
import re

import pytest
import yaml

from model_training.blending.config import BlendConfig
from tests.unit.project.pages import PAGES, ROOT, anchors, blocks, commands, links, name_of, program_of, prose
from ulvspark.contract.config import validate
from ulvspark.contract.source.source import SourceConfig
from ulvspark.pipelines.score_users import ScoreConfig
from ulvspark.scoring.tiers import TierDecision

PROGRAMS = [
    (name_of(page), *program)
    for page in PAGES
    for words in commands(page)
    if (program := program_of(words)) is not None
]
EXAMPLES = [(name_of(page), text) for page in PAGES for text in blocks(page, "yaml")]
CONFIGS = {"# conf/tiers.yaml": TierDecision, "# conf/score.yaml": ScoreConfig, "# conf/blend.yaml": BlendConfig}
"""What an example configures, by its first line; any other example is a source."""

SMALLEST_SOURCE = {
    "name": "shop", "currency": "EUR", "time_zone": "UTC",
    "events": [{"read": {"format": "csv", "path": "a"}, "columns": {}}],
}  # fmt: skip

FOLDERS = ("ulvspark", "model_training", "jobs", "benchmarks", "conf", "tests", "docs", "notebooks", ".ci")

each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@each_page
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {words[1] for words in commands(page) if words[0] == "make"}
    named |= set(re.findall(r"`make ([a-z-]+)", prose(page)))
    assert named <= targets


@pytest.mark.parametrize(
    ("page", "module", "arguments"), PROGRAMS, ids=[f"{page}-{name}" for page, name, _ in PROGRAMS]
)
def test_programs_take_the_arguments_shown(page, module, arguments):
    if module == "pytest":
        wanted = [argument for argument in arguments if argument.startswith("tests/")]
        assert [path for path in wanted if not (ROOT / path.partition("::")[0]).exists()] == []
        return
    importlib.import_module(module).parser().parse_args(arguments)


@each_page
def test_programs_that_prose_names_exist(page):
    named = re.findall(r"`(?:python -m )?((?:model_training|benchmarks)(?:\.\w+)+)", prose(page))
    assert [module for module in named if importlib.util.find_spec(module) is None] == []


@pytest.mark.parametrize(("page", "example"), EXAMPLES, ids=[f"{page}-{n}" for n, (page, _) in enumerate(EXAMPLES)])
def test_yaml_examples_are_valid(page, example):
    config, content = CONFIGS.get(example.splitlines()[0], SourceConfig), yaml.safe_load(example)
    is_part = example.startswith(("protocol:", "events:", "ids:", "limits:"))
    validate(config, (SMALLEST_SOURCE if is_part else {}) | content, page)


@each_page
def test_links_resolve(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name_of(page)} links {target}"
        assert not anchor or anchor in anchors(linked), f"{name_of(page)} links {target}"


@each_page
def test_paths_that_are_named_exist(page):
    named = re.findall(rf"`((?:{'|'.join(map(re.escape, FOLDERS))})/[^`\s]*)`", prose(page))
    assert [path for path in named if not list(ROOT.glob(path.rstrip("/").partition("::")[0]))] == []
