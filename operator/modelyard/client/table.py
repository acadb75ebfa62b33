"""Tables as kubectl prints them, and lists of facts, for terminals.

Tables have no frames, two spaces between columns, and names that are never cut.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from modelyard.client.display import Badge, Row, Tone, plain
from modelyard.client.text import clip

__all__ = ["Cell", "facts", "rows_table", "table"]

Cell = str | Text
_GAP = 2
_LAST = 16
"""Minimum width of the last column, in characters."""
_COLOURS: Mapping[Tone, str] = {"good": "green", "busy": "yellow", "bad": "red", "quiet": ""}


def table(
    heads: Sequence[str], rows: Sequence[Sequence[Cell]], width: int | None, *, cut: bool = True
) -> Text:
    """Draw rows below a line of heads.

    Args:
        heads: One head per column.
        rows: The cells; a Text keeps its colours.
        width: Width of the screen in characters; None: no limit (`-o wide`, or no terminal).
        cut: Whether the last column may be cut to fit. Other columns are never cut, since they
            hold names.

    """
    body = [[_text(cell) for cell in row] for row in rows]
    widths = [
        max([len(head), *(cell_len(row[at].plain) for row in body)])
        for at, head in enumerate(heads)
    ]
    before = sum(widths[:-1]) + _GAP * (len(heads) - 1)
    room = max(_LAST, width - before) if width is not None and cut else None
    lines = [
        _line([Text(head, style="bold") for head in heads], widths, room),
        *(_line(row, widths, room) for row in body),
    ]
    return Text("\n").join(lines)


def rows_table(rows: Sequence[Row], empty: str) -> Text:
    """Draw the rows of handles; `empty` if there are none."""
    if not rows:
        return Text(empty, style="italic")
    return table(
        [name.upper() for name in rows[0]],
        [[_cell(value) for value in row.values()] for row in rows],
        None,
    )


def facts(rows: Sequence[tuple[str, Cell]]) -> Text:
    """Draw (name, value) pairs, one per line; lines are not cut, so that URLs can be copied."""
    longest = max(len(name) for name, _ in rows)
    lines = [Text.assemble((f"{name.ljust(longest)}  ", "dim"), cell) for name, cell in rows]
    return Text("\n", no_wrap=True, overflow="ignore").join(lines)


def _line(cells: Sequence[Text], widths: Sequence[int], room: int | None) -> Text:
    line = Text()
    for at, cell in enumerate(cells):
        if at < len(cells) - 1:
            line += cell + Text(" " * (widths[at] - cell_len(cell.plain) + _GAP))
        else:
            line += (
                cell
                if room is None or cell_len(cell.plain) <= room
                else Text(clip(cell.plain, room), style=cell.style)
            )
    line.rstrip()
    return line


def _text(cell: Cell) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text(" ".join(cell.split()))


def _cell(value: Any) -> Cell:
    if isinstance(value, list | tuple) and any(isinstance(each, Badge) for each in value):
        return Text(", ").join(Text(plain(each), style=_style(each)) for each in value)
    return Text(plain(value), style=_style(value)) if isinstance(value, Badge) else plain(value)


def _style(value: Any) -> str:
    return _COLOURS[value.tone] if isinstance(value, Badge) else ""
