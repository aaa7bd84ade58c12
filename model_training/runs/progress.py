"""How far a long loop is: a bar in a terminal or a notebook, and a line now and then in a file or a pipe."""

import builtins
import sys
import time
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Self, TypeVar

from tqdm.auto import tqdm

SECONDS_BETWEEN_LINES = 30.0

T = TypeVar("T")


class Progress:
    """Counts up to ``total`` and shows it on stderr, unless ``show`` is False.

    With ``keep`` the bar stays when the loop has ended; where there are lines instead, the last one tells the end.
    """

    def __init__(
        self, title: str, total: int, unit: str, *, done: int = 0, show: bool = True, keep: bool = False
    ) -> None:
        self._title, self._total, self._unit, self._keep = title, total, unit, keep
        self._done, self._figures = done, ""
        bars = _shows_bars()
        self._bar = tqdm(total=total, initial=done, desc=title, unit=unit, leave=keep, disable=not (show and bars))
        self._prints_lines = show and not bars
        self._started = self._last_line = time.monotonic()

    def update(self, number: int = 1) -> None:
        """``number`` more are done."""
        self._bar.update(number)
        self._done += number
        if self._prints_lines and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._print_line()

    def show_figures(self, figures: dict[str, str]) -> None:
        """Show ``figures``, such as a loss, behind the count from now on."""
        self._bar.set_postfix(figures)
        self._figures = "".join(f", {name} {figure}" for name, figure in figures.items())

    def close(self) -> None:
        """End the bar, or print the last line."""
        self._bar.close()
        if self._prints_lines and self._keep:
            self._print_line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        took = timedelta(seconds=int(self._last_line - self._started))
        share = self._done / self._total if self._total else 1.0
        count = f"{self._done:,} of {self._total:,} {self._unit}s ({share:.0%})"
        print(f"{self._title}: {count} after {took}{self._figures}", file=sys.stderr, flush=True)


def track(items: Collection[T], title: str, unit: str) -> Iterator[T]:
    """The items one after the other, with their progress."""
    with Progress(title, len(items), unit) as progress:
        for item in items:
            yield item
            progress.update()


def _shows_bars() -> bool:
    """Whether stderr is a terminal, or a notebook, which says so by a name among the built-in ones."""
    return sys.stderr.isatty() or hasattr(builtins, "__IPYTHON__")
