"""Writes docs/tree.md: every file of the code with the first line of its docstring. Run by ``make tree``."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/tree.md"
PACKAGES = ("ulvspark", "model_training", "jobs", "benchmarks")
HEAD = """# Every file, in one line

Each line is the first one of the file's docstring. `make tree` writes this page; a test compares it with the code.
"""


def page() -> str:
    """The page as the code says it now."""
    folders = sorted({path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}, key=_place)
    return HEAD + "".join(_section(folder) for folder in folders)


def _place(folder: Path) -> tuple[int, tuple[str, ...]]:
    """Packages in the order of ``PACKAGES``, folders below them by name."""
    parts = folder.relative_to(ROOT).parts
    return PACKAGES.index(parts[0]), parts


def _section(folder: Path) -> str:
    name = folder.relative_to(ROOT).as_posix()
    about = _first_line(folder / "__init__.py")
    files = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    table = "".join(f"| [{path.name}](../{name}/{path.name}) | {_first_line(path)} |\n" for path in files)
    return (
        f"\n## {name}\n"
        + (f"\n{about}\n" if about else "")
        + (f"\n| file | what it is for |\n|---|---|\n{table}" if table else "")
    )


def _first_line(path: Path) -> str:
    """Of the module's docstring, as Markdown; empty where there is none."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.exists() else None
    return (said or "").partition("\n")[0].replace("``", "`").replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
