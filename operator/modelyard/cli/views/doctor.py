"""The findings of `doctor`: one line each, with the fix below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

__all__ = ["Finding", "Verdict", "document", "findings"]


class Verdict(StrEnum):
    """The severity of a finding."""

    GOOD = "ok"
    WARNING = "warning"
    BAD = "bad"
    UNKNOWN = "unknown"
    """It could not be checked, mostly for lack of a right; this is not a problem."""


_MARKS = {
    Verdict.GOOD: ("✓", "green"),
    Verdict.WARNING: ("!", "yellow"),
    Verdict.BAD: ("✗", "red"),
    Verdict.UNKNOWN: ("?", "dim"),
}


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        subject: What was checked, in a word or two.
        verdict: The severity.
        words: What was found.
        fix: What to do about it; empty for a good finding.

    """

    subject: str
    verdict: Verdict
    words: str
    fix: str = ""


def findings(found: Sequence[Finding]) -> RenderableType:
    """Draw the findings, and a summary."""
    longest = max((len(each.subject) for each in found), default=0)
    parts: list[RenderableType] = []
    for each in found:
        mark, style = _MARKS[each.verdict]
        parts.append(
            _hanging(
                Text.assemble((mark, style), " ", (each.subject.ljust(longest), "bold")),
                Text(each.words),
                longest,
            )
        )
        if each.fix:
            parts.append(Padding(Text(f"→ {each.fix}"), (0, 0, 0, longest + 4)))
    parts += [
        Text(),
        Text(_summary(found), style="bold"),
    ]
    return Group(*parts)


def _summary(found: Sequence[Finding]) -> str:
    bad = sum(each.verdict is Verdict.BAD for each in found)
    return f"{bad} of {len(found)} checks found a problem." if bad else "No problems found."


def _hanging(head: Text, words: Text, longest: int) -> RenderableType:
    """Return a head and a text that wraps beside it."""
    from rich.table import Table  # noqa: PLC0415 - for a grid, which is not our `table`

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=longest + 2, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, words)
    return grid


def document(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the findings as data. Programs know a fix as `cure`."""
    return [
        {
            "subject": each.subject,
            "verdict": str(each.verdict),
            "words": each.words,
            "cure": each.fix,
        }
        for each in found
    ]
