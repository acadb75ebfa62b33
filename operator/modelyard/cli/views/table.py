"""Tables as kubectl prints them: no frames, two spaces between columns, names never cut; and facts, a line each. What stands in them does
not belong here."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from modelyard.cli.views.text import clip

__all__ = ["Cell", "facts", "table"]

Cell = str | Text
_GAP = 2
_LAST = 16
"""What is left to the last column at least, however long the others are."""


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], width: int | None, *, cut: bool = True) -> Text:
    """Draw rows below their heads.

    Args:
        heads: One head for each column.
        rows: The cells; a Text keeps its colours.
        width: The screen's. None: as wide as it gets (`-o wide`, another program reads).
        cut: Whether the last column may be cut to fit; all others are whole, for a name that is cut is nobody's.

    """
    body = [[_text(cell) for cell in row] for row in rows]
    widths = [max([len(head), *(cell_len(row[at].plain) for row in body)]) for at, head in enumerate(heads)]
    before = sum(widths[:-1]) + _GAP * (len(heads) - 1)
    room = max(_LAST, width - before) if width is not None and cut else None
    lines = [_line([Text(head, style="bold") for head in heads], widths, room), *(_line(row, widths, room) for row in body)]
    return Text("\n").join(lines)


def facts(told: Sequence[tuple[str, Cell]]) -> Text:
    """Draw facts by their names, a line each, however long: addresses are there to be copied."""
    longest = max(len(name) for name, _ in told)
    lines = [Text.assemble((f"{name.ljust(longest)}  ", "dim"), cell) for name, cell in told]
    return Text("\n", no_wrap=True, overflow="ignore").join(lines)


def _line(cells: Sequence[Text], widths: Sequence[int], room: int | None) -> Text:
    line = Text()
    for at, cell in enumerate(cells):
        if at < len(cells) - 1:
            line += cell + Text(" " * (widths[at] - cell_len(cell.plain) + _GAP))
        else:
            line += cell if room is None or cell_len(cell.plain) <= room else Text(clip(cell.plain, room), style=cell.style)
    line.rstrip()
    return line


def _text(cell: Cell) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text(" ".join(cell.split()))
