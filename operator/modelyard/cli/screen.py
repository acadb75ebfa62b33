"""Standard output and standard error, for people and for programs. What is drawn does not belong
here.
"""

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
    """A console on which no text moves the cursor, colours or hides anything: only our own
    styles do.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Draw; texts lose the characters that a reader cannot see."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(printable(text, lines=True), style)


_PLAIN_WIDTH = 80
"""Where standard output is no screen, as in a pipe or a log."""


class Screen:
    """What was asked for goes to standard output; what is told along the way to standard error,
    so that `-o json` stays a document.
    """

    def __init__(self, where: Where) -> None:
        self.where = where
        self.out = _Console(
            highlight=False,
            soft_wrap=False,
            width=None if sys.stdout.isatty() else self._columns(),
            markup=False,
        )
        self.told = _Console(stderr=True, highlight=False, markup=False)
        self.live = sys.stdout.isatty() and not where.document and not self.out.is_dumb_terminal

    @staticmethod
    def _columns() -> int | None:
        from os import environ  # noqa: PLC0415

        return None if environ.get("COLUMNS", "").isdigit() else _PLAIN_WIDTH

    @property
    def width(self) -> int:
        """How wide a drawing may be."""
        return self.out.width

    @property
    def table_width(self) -> int | None:
        """How wide a table may be: no limit where `-o wide` asks for everything or where no
        screen would cut it.
        """
        return None if self.where.wide or not sys.stdout.isatty() else self.out.width

    def show(self, drawing: RenderableType) -> None:
        """Draw for people: prose is wrapped. A line that must not be, with an address in it, is
        the terminal's to break.
        """
        self.out.print(drawing, soft_wrap=False, crop=False)

    def show_table(self, drawing: RenderableType) -> None:
        """Draw a table, whose lines are as long as they are."""
        self.out.print(drawing, soft_wrap=True)

    def tell(self, words: RenderableType) -> None:
        """Tell along the way. Lines are as long as they are: some are commands to copy."""
        (self.told if self.where.document else self.out).print(words, soft_wrap=True)

    def document(self, value: Any) -> None:
        """Print data as `-o` says: JSON or YAML."""
        if self.where.output is Format.YAML:
            sys.stdout.write(dumped(value))
        else:
            sys.stdout.write(escaped(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")

    def names(self, names: list[str]) -> None:
        """Print one name a line, for `-o name`."""
        sys.stdout.write("".join(f"{printable(name)}\n" for name in names))
