"""Two versions side by side in the terminal: facts, parameters, metrics and their curves.

Pages and pictures are in `pictures`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from modelyard.client.table import Cell, table
from modelyard.client.text import number, squeezed

__all__ = ["Comparison", "Side", "compare", "document", "plot"]

_NARROWEST = 12
"""The least width of a value, in characters."""
Points = Sequence[tuple[float, float]]
_MARKS = ("●", "○", "◉")
"""Points of the first series, the second, and both, readable without colour."""


@dataclass(frozen=True)
class Side:
    """One version of a comparison.

    Attributes:
        name: The version.
        facts: Source, data, signature, size and others, by name.
        parameters: The parameters in MLflow.
        metrics: The newest values.
        curves: The history of each metric: (step, value) pairs by step.

    """

    name: str
    facts: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Points] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Two versions to compare. `missing` says what could not be read, and why."""

    model: str
    left: Side
    right: Side
    missing: tuple[str, ...] = ()

    def curves(self) -> dict[str, tuple[Points, Points]]:
        """Return the curves with more than one point on a side, by metric."""
        names = sorted({*self.left.curves, *self.right.curves})
        both = {
            name: (self.left.curves.get(name, ()), self.right.curves.get(name, ()))
            for name in names
        }
        return {name: pair for name, pair in both.items() if max(len(pair[0]), len(pair[1])) > 1}


def compare(comparison: Comparison, width: int, *, wide: bool = False) -> RenderableType:
    """Draw one table for each subject, then the curves.

    Args:
        comparison: The versions.
        width: Width in characters. A longer value is shortened in its middle; if the two values
            differ, both follow in full below the table.
        wide: Whether to shorten nothing.

    """
    left, right = comparison.left, comparison.right
    parts: list[RenderableType] = [
        Text(f"{comparison.model}  {left.name} | {right.name}", style="bold")
    ]
    for title, one, other in (
        ("", left.facts, right.facts),
        ("PARAMETER", left.parameters, right.parameters),
    ):
        if rows := _rows(one, other, (left.name, right.name)):
            room = (
                None
                if wide
                else max(
                    _NARROWEST,
                    (width - max(len(str(row[0])) for row in rows) - len("differs") - 6) // 2,
                )
            )
            parts += [
                Text(),
                table(
                    (title, left.name, right.name, ""), [_short(row, room) for row in rows], None
                ),
            ]
            parts += _whole(one, other, (left.name, right.name), room)
    if names := sorted({*left.metrics, *right.metrics}):
        rows = [
            [name, _value(left, name), _value(right, name), _difference(left, right, name)]
            for name in names
        ]
        parts += [Text(), table(("METRIC", left.name, right.name, "DIFFERENCE"), rows, width)]
    for name, pair in comparison.curves().items():
        parts += [
            Text(),
            Text(f"{name}  {_MARKS[0]} {left.name}  {_MARKS[1]} {right.name}", style="bold"),
            plot(pair, min(width, 80)),
        ]
    parts += [Text(f"\n{words}", style="yellow") for words in comparison.missing]
    return Group(*parts)


def _rows(
    one: Mapping[str, str], other: Mapping[str, str], names: tuple[str, str]
) -> list[list[Cell]]:
    """Return rows in the order of the first side, then what only the second has."""
    every = [*one, *(key for key in other if key not in one)]
    return [
        [key, one.get(key, "-"), other.get(key, "-"), _mark(one.get(key), other.get(key), names)]
        for key in every
    ]


def _short(row: list[Cell], room: int | None) -> list[Cell]:
    """Shorten a row's two values to the available width."""
    return (
        row
        if room is None
        else [row[0], squeezed(str(row[1]), room), squeezed(str(row[2]), room), row[3]]
    )


def _whole(
    one: Mapping[str, str], other: Mapping[str, str], names: tuple[str, str], room: int | None
) -> list[Text]:
    """Return both values in full where they differ and were shortened."""
    lines = []
    for key in one:
        both = (one[key], other.get(key, one[key]))
        if room is not None and both[0] != both[1] and max(map(len, both)) > room:
            lines += [
                Text(f"\n{key}"),
                *(Text(f"  {name}  {value}") for name, value in zip(names, both, strict=True)),
            ]
    return lines


def _mark(one: str | None, other: str | None, names: tuple[str, str]) -> Text:
    if one == other:
        return Text("")
    if one is None or other is None:
        return Text(f"only {names[0] if other is None else names[1]}", style="yellow")
    return Text("differs", style="yellow")


def _value(side: Side, name: str) -> str:
    return number(side.metrics[name]) if name in side.metrics else "-"


def _difference(left: Side, right: Side, name: str) -> Cell:
    if name not in left.metrics or name not in right.metrics:
        return Text(f"only {left.name if name in left.metrics else right.name}", style="yellow")
    by = right.metrics[name] - left.metrics[name]
    return f"{by:+.4g}" if by else "="


def plot(pair: tuple[Points, Points], width: int, height: int = 8) -> Text:
    """Plot two curves with characters: steps on the x-axis, values on the y-axis."""
    points = [point for points in pair for point in points]
    steps, values = [step for step, _ in points], [value for _, value in points]
    low, high, first, last = min(values), max(values), min(steps), max(steps)
    labels = [f"{high:.4g}", f"{low:.4g}"]
    margin = max(len(label) for label in labels)
    columns = max(10, width - margin - 3)
    grid = [[0] * columns for _ in range(height)]
    for mark, series in enumerate(pair, start=1):
        for step, value in series:
            at = round((step - first) / (last - first) * (columns - 1)) if last > first else 0
            up = round((value - low) / (high - low) * (height - 1)) if high > low else 0
            grid[height - 1 - up][at] |= mark
    lines = []
    for row, cells in enumerate(grid):
        label = labels[0] if row == 0 else labels[1] if row == height - 1 else ""
        lines.append(
            f"{label.rjust(margin)}"
            f" ┤{''.join(' ' if cell == 0 else _MARKS[cell - 1] for cell in cells)}".rstrip()
        )
    begin, end = number(first), number(last)
    lines.append(f"{' ' * margin} └{'─' * columns}")
    lines.append(f"{' ' * margin}  {begin}{end.rjust(columns - len(begin))}")
    return Text("\n".join(lines))


def document(comparison: Comparison, now: datetime) -> dict[str, Any]:
    """Return the comparison as data, for `-o json` and `-o yaml`."""
    sides = {
        side.name: {
            "facts": dict(side.facts),
            "parameters": dict(side.parameters),
            "metrics": dict(side.metrics),
            "curves": {
                name: [[step, value] for step, value in points]
                for name, points in side.curves.items()
            },
        }
        for side in (comparison.left, comparison.right)
    }
    compared = [comparison.left.name, comparison.right.name]
    return {
        "model": comparison.model,
        "compared": compared,
        "time": now.isoformat(),
        "versions": sides,
        "missing": list(comparison.missing),
    }
