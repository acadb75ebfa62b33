"""Standard output and standard error, for people and for programs."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from modelyard.api.document import dumped
from modelyard.api.text import escaped, printable
from modelyard.cli.options import Format, Where

__all__ = ["Screen"]


class _Console(Console):
    """A console that removes control characters from texts, so that only our styles apply."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render without characters that a reader cannot see."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(printable(text, lines=True), style)


_PLAIN_WIDTH = 80
"""Columns where standard output is no terminal: a pipe or a log."""


class Screen:
    """Standard output, and standard error for progress of `-o json`, `yaml` and `name`."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.out = _Console(
            highlight=False,
            soft_wrap=False,
            width=None if sys.stdout.isatty() else self._columns(),
            markup=False,
        )
        self.err = _Console(stderr=True, highlight=False, markup=False)
        self.live = sys.stdout.isatty() and not where.document and not self.out.is_dumb_terminal

    @staticmethod
    def _columns() -> int | None:
        from os import environ  # noqa: PLC0415

        return None if environ.get("COLUMNS", "").isdigit() else _PLAIN_WIDTH

    @property
    def width(self) -> int:
        """The width of a drawing."""
        return self.out.width

    @property
    def table_width(self) -> int | None:
        """The width of a table; None for `-o wide`, and where there is no terminal to cut it."""
        return None if self.where.wide or not sys.stdout.isatty() else self.out.width

    def show(self, drawing: RenderableType) -> None:
        """Print a drawing. Prose is wrapped; a long word, such as an address, is not."""
        self.out.print(drawing, soft_wrap=False, crop=False)

    def show_table(self, drawing: RenderableType) -> None:
        """Print a table without wrapping its lines."""
        self.out.print(drawing, soft_wrap=True)

    def message(self, words: RenderableType) -> None:
        """Print progress without wrapping: some lines are commands to copy."""
        (self.err if self.where.document else self.out).print(words, soft_wrap=True)

    def document(self, value: Any) -> None:
        """Print data as JSON or YAML, as `-o` says."""
        if self.where.output is Format.YAML:
            sys.stdout.write(dumped(value))
        else:
            sys.stdout.write(escaped(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")

    def names(self, names: list[str]) -> None:
        """Print one name a line, for `-o name`."""
        sys.stdout.write("".join(f"{printable(name)}\n" for name in names))
