"""How things look: tables, badges and bars, as HTML for a notebook and as text elsewhere. What they say does not belong here.

No package is needed for it: IPython is asked only where it runs already.
"""

import html
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, Literal

__all__ = ["Badge", "Bar", "Tone", "age", "bar", "card", "in_notebook", "plain", "rich_table", "size", "table", "text_table"]

Tone = Literal["good", "busy", "bad", "quiet"]
_COLOURS: Mapping[Tone, tuple[str, str]] = {
    "good": ("#e3f4e6", "#1a6b2d"),
    "busy": ("#fdf1d8", "#7a5200"),
    "bad": ("#fbe3e1", "#97201a"),
    "quiet": ("#ececef", "#45454d"),
}
_CELL = "text-align:left;padding:2px 10px 2px 0;vertical-align:top"


@dataclass(frozen=True)
class Badge:
    """A word with a colour: a stage, a reason."""

    text: str
    tone: Tone = "quiet"

    def __str__(self) -> str:
        return self.text


Row = Mapping[str, Any]
"""A table's row by column. A value is text, a number, None, a Badge, or several badges."""


def table(rows: Sequence[Row], empty: str) -> str:
    """Return rows as an HTML table; `empty` if there are none."""
    if not rows:
        return f"<i>{html.escape(empty)}</i>"
    head = "".join(f'<th style="{_CELL}">{html.escape(column)}</th>' for column in rows[0])
    body = "".join("<tr>" + "".join(f'<td style="{_CELL}">{_cell(value)}</td>' for value in row.values()) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def card(title: str, badge: Badge | None, message: str, fields: Row) -> str:
    """Return one object as HTML: what it is, where it stands, and what is to be known of it."""
    said = f"<div>{html.escape(message)}</div>" if message else ""
    lines = "".join(
        f'<tr><th style="{_CELL}">{html.escape(name)}</th><td style="{_CELL}">{_cell(value)}</td></tr>' for name, value in fields.items()
    )
    return f"<div><b>{html.escape(title)}</b> {_cell(badge) if badge else ''}{said}<table><tbody>{lines}</tbody></table></div>"


def text_table(rows: Sequence[Row], empty: str) -> str:
    """Return rows as text, in columns."""
    if not rows:
        return empty
    cells = [[column.upper() for column in rows[0]], *([plain(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(cells[0]))]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in cells)


def rich_table(rows: Sequence[Row], empty: str) -> Any:
    """Return rows as a table of rich, for `rich.print` and a terminal's IPython."""
    from rich.table import Table  # noqa: PLC0415 - only where somebody draws with it
    from rich.text import Text  # noqa: PLC0415

    if not rows:
        return Text(empty, style="italic")
    colours: Mapping[Tone, str] = {"good": "green", "busy": "yellow", "bad": "red", "quiet": ""}
    found = Table(*rows[0], box=None, header_style="bold", pad_edge=False)
    for row in rows:
        cells = []
        for value in row.values():
            each = value if isinstance(value, list | tuple) else [value]
            words = (Text(plain(word), style=colours[word.tone] if isinstance(word, Badge) else "") for word in each)
            cells.append(Text(" ").join(words))
        found.add_row(*cells)
    return found


def _cell(value: Any) -> str:
    if isinstance(value, Badge):
        back, fore = _COLOURS[value.tone]
        return f'<span style="background:{back};color:{fore};border-radius:8px;padding:1px 8px">{html.escape(value.text)}</span>'
    if isinstance(value, list | tuple):
        return " ".join(_cell(each) for each in value)
    return html.escape(plain(value))


def plain(value: Any) -> str:
    """Return a cell as text."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(plain(each) for each in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def age(since: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago something was, in its largest unit: `3d`, `14m`."""
    if since is None:
        return ""
    seconds = max(timedelta(0), (now or datetime.now(UTC)) - since).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"


def size(count: int | None) -> str:
    """Return a number of bytes as people read it: `1.4 MB`."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def in_notebook() -> bool:
    """Tell whether this runs in a notebook, which shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


Bar = Callable[[float | None, str], None]
"""Called with how much is done, 0 to 1 (None: nobody knows), and a few words."""


@contextmanager
def bar(title: str) -> Iterator[Bar]:
    """Show a bar for the length of a block: in a notebook; elsewhere nothing, for who calls from a program has its own way."""
    if not in_notebook():
        yield lambda _done, _words: None
        return
    ipython: Any = import_module("IPython.display")  # it runs already
    shown = ipython.display(ipython.HTML(_bar(title, None, "")), display_id=True)
    last = ""

    def move(done: float | None, words: str) -> None:
        nonlocal last
        if (now := _bar(title, done, words)) != last:
            shown.update(ipython.HTML(now))
            last = now

    yield move


def _bar(title: str, done: float | None, words: str) -> str:
    percent = 100 * min(1.0, max(0.0, done or 0.0))
    back, fore = _COLOURS["quiet"][0], "#3b7dd8"
    line = f'<div style="background:{back};border-radius:4px;height:8px;width:320px">'
    line += f'<div style="background:{fore};border-radius:4px;height:8px;width:{percent:.0f}%"></div></div>'
    return f"<div><b>{html.escape(title)}</b> {html.escape(words)}{line}</div>"
