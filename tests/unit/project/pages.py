"""The pages that people read, and what the tests need of them: fenced blocks, commands, headings, links."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language; "" finds those without one."""
    return [text for named, text in FENCED.findall(page.read_text()) if named == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCED.sub("", page.read_text())


def commands(page: Path) -> list[list[str]]:
    """Each command of the page's bash blocks, as a shell splits it."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def program_of(words: list[str]) -> tuple[str, list[str]] | None:
    """The module that a command runs, and its arguments; None for a command of another kind."""
    if words[:2] == ["python", "-m"]:
        return words[2], words[3:]
    scripts = [number for number, word in enumerate(words) if word.startswith("jobs/")]
    if words[0] in {"python", "spark-submit"} and scripts:
        return words[scripts[0]].removesuffix(".py").replace("/", "."), words[scripts[0] + 1 :]
    return None


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """The targets of a page's links and images, those on the web left out."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in targets if "://" not in target]


def section(page: Path, heading: str) -> str:
    """What stands between a heading of the second level and the next."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page.read_text(), re.M | re.S)
    assert found is not None, f"{name_of(page)} has no section {heading}"
    return found[1]


def rows(markdown: str) -> list[list[str]]:
    """The cells of each row of the tables in a piece of a page; heads and rulers are left out."""
    lines = markdown.splitlines()
    ruler = re.compile(r"^\|[-| :]+\|$")
    body = [
        line
        for number, line in enumerate(lines)
        if line.startswith("|")
        and not ruler.match(line)
        and not (number + 1 < len(lines) and ruler.match(lines[number + 1]))
    ]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body]
