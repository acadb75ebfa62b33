"""HTML for notebooks: tables, cards, badges and progress bars. `table` draws them for terminals.

It needs no package: IPython is used only if it is loaded already.
"""

import html
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from modelyard.api.text import printable
from modelyard.client.text import UNKNOWN, number

__all__ = ["Badge", "Bar", "Row", "Tone", "bar", "card", "html_table", "in_notebook", "plain"]

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
    """A short text with a colour: a stage, a reason."""

    text: str
    tone: Tone = "quiet"

    def __str__(self) -> str:
        return self.text


Row = Mapping[str, Any]
"""A table's row, by column. A value is a text, a number, None, a Badge or a list of badges."""


def html_table(rows: Sequence[Row], empty: str) -> str:
    """Return rows as an HTML table; `empty` if there are none."""
    if not rows:
        return f"<i>{_html(empty)}</i>"
    head = "".join(f'<th style="{_CELL}">{_html(column)}</th>' for column in rows[0])
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{_CELL}">{_cell(value)}</td>' for value in row.values())
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def card(title: str, badge: Badge | None, message: str, fields: Row) -> str:
    """Return one object as HTML: title, badge, message and a table of fields."""
    said = f"<div>{_html(message)}</div>" if message else ""
    lines = "".join(
        f'<tr><th style="{_CELL}">{_html(name)}</th><td style="{_CELL}">{_cell(value)}</td></tr>'
        for name, value in fields.items()
    )
    return (
        f"<div><b>{_html(title)}</b>"
        f" {_cell(badge) if badge else ''}{said}<table><tbody>{lines}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if isinstance(value, Badge):
        back, fore = _COLOURS[value.tone]
        return (
            f'<span style="background:{back};color:{fore};border-radius:8px;padding:1px'
            f' 8px">{_html(value.text)}</span>'
        )
    if isinstance(value, list | tuple) and value:
        return " ".join(_cell(each) for each in value)
    return _html(plain(value))


def _html(text: str) -> str:
    return html.escape(printable(text, lines=True))


def plain(value: Any) -> str:
    """Return a cell as text; a dash if it is empty."""
    if isinstance(value, list | tuple):
        return ", ".join(plain(each) for each in value) or UNKNOWN
    if value is None:
        return UNKNOWN
    return number(value) if isinstance(value, float) else printable(str(value), lines=True)


def in_notebook() -> bool:
    """Tell whether this process runs in a notebook, which shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


Bar = Callable[[float | None, str], None]
"""Called with how much is done, 0 to 1 (None if unknown), and a text."""


@contextmanager
def bar(title: str) -> Iterator[Bar]:
    """Show a progress bar in a notebook for the length of a block; show nothing elsewhere."""
    if not in_notebook():
        yield lambda _done, _words: None
        return
    ipython: Any = import_module("IPython.display")  # IPython is loaded already
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
    line += (
        "<div"
        f' style="background:{fore};border-radius:4px;height:8px;width:{percent:.0f}%"></div></div>'
    )
    return f"<div><b>{_html(title)}</b> {_html(words)}{line}</div>"
