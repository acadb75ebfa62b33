"""What the doctor found: one line for each finding, its cure below it. Looking does not belong
here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

__all__ = ["Finding", "Verdict", "document", "findings"]


class Verdict(StrEnum):
    """How a finding is meant."""

    GOOD = "ok"
    WARNING = "warning"
    BAD = "bad"
    UNKNOWN = "unknown"
    """It could not be looked at, mostly for lack of a right; that is told, and is no illness."""


_MARKS = {
    Verdict.GOOD: ("✓", "green"),
    Verdict.WARNING: ("!", "yellow"),
    Verdict.BAD: ("✗", "red"),
    Verdict.UNKNOWN: ("?", "dim"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What was looked at, in a word or two.
        verdict: How it is.
        words: What was seen.
        cure: What to do about it; for a good finding, nothing.

    """

    subject: str
    verdict: Verdict
    words: str
    cure: str = ""


def findings(found: Sequence[Finding]) -> RenderableType:
    """Draw the findings, and a sentence that sums them up."""
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
        if each.cure:
            parts.append(Padding(Text(f"→ {each.cure}"), (0, 0, 0, longest + 4)))
    bad = sum(each.verdict is Verdict.BAD for each in found)
    parts += [
        Text(),
        Text(
            f"{bad} of {len(found)} need a cure." if bad else "Nothing needs a cure.", style="bold"
        ),
    ]
    return Group(*parts)


def _hanging(head: Text, words: Text, longest: int) -> RenderableType:
    """A head with words that wrap below themselves, not below the head."""
    from rich.table import Table  # noqa: PLC0415 - for a grid, which is not our `table`

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=longest + 2, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, words)
    return grid


def document(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the same as data."""
    return [asdict(each) | {"verdict": str(each.verdict)} for each in found]
